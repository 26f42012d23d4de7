"""The official client, unmodified, against the server."""

import asyncio

import openai
import pytest
import torch

from graftwork.serving.generate import greedy_tokens

HELLO = [{"role": "user", "content": "say hello"}]


def chat(client, **asked):
    return client.chat.completions.create(**{"model": "tiny", "messages": HELLO, "max_tokens": 12, **asked})


def greedy(bank, row, num, messages=HELLO):
    """Text of the most likely tokens, from the model itself."""
    from transformers import DynamicCache

    tokens_BT = torch.tensor([bank.base.chat.prompt(messages)])
    said = []
    with torch.no_grad(), bank.route([row]):
        for token in greedy_tokens(
            bank.base.halves, DynamicCache(config=bank.base.model.config), tokens_BT, torch.ones_like(tokens_BT)
        ):
            said.append(int(token))
            if said[-1] in bank.base.chat.stop_ids or len(said) == num:
                break
    ends = bank.base.chat.stop_ids
    return bank.base.chat.tokenizer.decode([token for token in said if token not in ends], skip_special_tokens=True)


def test_it_lists_what_can_be_asked_for(client):
    assert [one.id for one in client.models.list()] == ["tiny", "bot"]
    assert client.models.retrieve("bot").parent == "tiny"
    with pytest.raises(openai.NotFoundError, match="Did you mean 'bot'"):
        client.models.retrieve("bott")


@pytest.mark.parametrize("name", ["tiny", "bot"])
def test_a_chat_says_what_the_model_says(client, bank, name):
    answer = chat(client, model=name, temperature=0)
    row = {"tiny": None, "bot": bank.bot}[name]
    assert answer.choices[0].message.content.rstrip("\ufffd") == greedy(bank, row, 12).rstrip("\ufffd")
    assert answer.choices[0].finish_reason == "length"
    assert answer.object == "chat.completion"
    assert answer.usage.prompt_tokens == len(bank.base.chat.prompt(HELLO))
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.model == name


def test_the_base_and_the_adapter_differ(client):
    assert (
        chat(client, temperature=0).choices[0].message.content
        != chat(client, model="bot", temperature=0).choices[0].message.content
    )


def test_a_stream_says_the_same_in_pieces(client):
    whole = chat(client, temperature=0.8, seed=5)
    chunks = list(chat(client, temperature=0.8, seed=5, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_same_seed_says_the_same_and_another_something_else(client):
    first, again, other = (chat(client, seed=seed).choices[0].message.content for seed in (7, 7, 8))
    assert first == again != other
    drawn = chat(client)
    assert chat(client, seed=drawn.graftwork["seed"]).choices[0].message.content == drawn.choices[0].message.content


def test_several_answers_to_one_question(client):
    answers = chat(client, n=3, seed=7)
    assert [choice.index for choice in answers.choices] == [0, 1, 2]
    each = [chat(client, seed=seed) for seed in (7, 8, 9)]
    alone = [one.choices[0].message.content for one in each]
    assert [choice.message.content for choice in answers.choices] == alone
    assert answers.usage.completion_tokens == sum(one.usage.completion_tokens for one in each)
    pieces = ["", "", ""]
    for chunk in chat(client, n=3, seed=7, stream=True):
        pieces[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert pieces == alone


def test_a_stop_string_across_tokens_ends_the_answer_and_is_not_begun(client, server):
    whole = client.completions.create(model="tiny", prompt="ab", max_tokens=30, temperature=0).choices[0].text
    stop = whole[5:8]
    for asked in (stop, ["never said", stop]):
        answer = client.completions.create(model="tiny", prompt="ab", max_tokens=30, temperature=0, stop=asked)
        assert answer.choices[0].text == whole[: whole.index(stop)]
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.completion_tokens < 30
    stream = client.completions.create(model="tiny", prompt="ab", max_tokens=30, temperature=0, stop=stop, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole[: whole.index(stop)]


def test_chat_tells_probabilities(client):
    answer = chat(client, temperature=0, logprobs=True, top_logprobs=3)
    told = answer.choices[0].logprobs.content
    assert len(told) == 12
    for token in told:
        assert len(token.top_logprobs) == 3
        assert token.logprob == token.top_logprobs[0].logprob <= 0
        assert token.bytes == token.top_logprobs[0].bytes
    chunks = chat(client, temperature=0, logprobs=True, top_logprobs=3, stream=True)
    streamed = [one for chunk in chunks if chunk.choices[0].logprobs for one in chunk.choices[0].logprobs.content]
    assert streamed == told
    assert chat(client, temperature=0).choices[0].logprobs is None


def test_completions_tell_probabilities_in_their_own_form(client):
    answer = client.completions.create(model="tiny", prompt="ab", max_tokens=6, temperature=0, logprobs=2)
    told = answer.choices[0].logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) == 6
    assert told.text_offset[0] == 0
    assert told.token_logprobs[0] == max(told.top_logprobs[0].values())


def test_a_bias_and_penalties_bend_the_answer(client):
    answer = client.completions.create(model="tiny", prompt="a", max_tokens=5, temperature=0, logit_bias={"64": 100})
    assert len(set(answer.choices[0].text)) == 1
    bent = client.completions.create(
        model="tiny", prompt="a", max_tokens=5, temperature=0, logit_bias={"64": 20}, frequency_penalty=2, seed=0
    )
    assert bent.choices[0].text


def test_completions_take_texts_and_tokens(client, bank):
    texts = client.completions.create(model="tiny", prompt=["ab", "cd"], max_tokens=5, temperature=0)
    assert [choice.index for choice in texts.choices] == [0, 1]
    ids = [bank.base.chat.tokenizer(text)["input_ids"] for text in ("ab", "cd")]
    tokens = client.completions.create(model="tiny", prompt=ids, max_tokens=5, temperature=0)
    one = client.completions.create(model="tiny", prompt=ids[1], max_tokens=5, temperature=0)
    assert [choice.text for choice in tokens.choices] == [choice.text for choice in texts.choices]
    assert one.choices[0].text == texts.choices[1].text


def test_parts_of_text_are_put_together_and_a_developer_is_the_system(client):
    as_parts = [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}]
    one = chat(client, temperature=0, messages=[{"role": "developer", "content": as_parts}, *HELLO])
    other = chat(client, temperature=0, messages=[{"role": "system", "content": "be brief"}, *HELLO])
    assert one.choices[0].message.content == other.choices[0].message.content


def test_errors_have_their_types(client, server):
    with pytest.raises(openai.NotFoundError) as found:
        chat(client, model="bott")
    assert found.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        chat(server.client("none"))
    with pytest.raises(openai.BadRequestError) as wrong:
        chat(client, temperature=3)
    assert wrong.value.param == "temperature"
    assert wrong.value.request_id.startswith("req_")
    with pytest.raises(openai.NotFoundError):
        chat(server.client("elsewhere"), model="bot")


def test_harmless_fields_are_taken(client):
    answer = chat(
        client, user="kim", metadata={"a": "b"}, store=False, service_tier="auto", response_format={"type": "text"}
    )
    assert answer.choices


def test_the_client_that_is_awaited_asks_many_at_once(server):
    async def ask():
        async with server.later() as client:
            return await asyncio.gather(*(chat(client, temperature=0, model=name) for name in ("tiny", "bot") * 4))

    texts = [answer.choices[0].message.content for answer in asyncio.run(ask())]
    assert texts == texts[:2] * 4


def test_the_streams_of_the_client_that_is_awaited(server):
    async def ask():
        async with server.later() as client:
            return [chunk async for chunk in await chat(client, stream=True)]

    assert asyncio.run(ask())[-1].choices[0].finish_reason == "length"
