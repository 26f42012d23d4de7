"""Answers on their way: cancelled, stalled, failed, limited, guarded, watched; what is held is let go of, always."""

import json
import socket
from contextlib import closing

import openai
import pytest
from tests.support.served import GatedEngine, Notes, served
from tests.support.solo_engine import SoloEngine

from graftwork.pipeline.local_models import LocalModel, LocalModels
from graftwork.serving.http.seams import BlockedError, NoGuard, RateLimitedError

HELLO = [{"role": "user", "content": "say hello"}]


class Counted(LocalModels):
    """Counts what was acquired and not released."""

    held = 0

    async def acquire(self, who, name):
        """As LocalModels'."""
        found = await super().acquire(who, name)
        self.held += 1
        return found

    def release(self, served):
        """As LocalModels'."""
        self.held -= 1


def counted(bank, **rows):
    models = {name: LocalModel(row=row, content=name) for name, row in rows.items()}
    return Counted(bank, "tiny", models, tenant="default", made_us=0)


def chat(client, **asked):
    return client.chat.completions.create(**{"model": "tiny", "messages": HELLO, "max_tokens": 40, **asked})


def test_a_reader_who_leaves_a_stream_frees_the_engine_and_the_model(tiny_bank):
    engine, notes, models = GatedEngine(tiny_bank), Notes(), counted(tiny_bank)
    with served(tiny_bank, models, engine=engine, watcher=notes) as server, server.client() as client:
        stream = chat(client, stream=True, n=2, logit_bias={"65": 100})
        next(iter(stream))
        stream.close()
        assert notes.has_ended("cancelled", 2)
        assert len(engine.cancels) == 2
        engine.gate.set()
        assert chat(client, max_tokens=1).choices
        assert [one.finish for one in notes.ends] == ["cancelled", "cancelled", "length"]
        assert models.held == 0
        assert engine.report().waiting == 0


def test_a_reader_who_does_not_wait_for_a_whole_answer_frees_it_too(tiny_bank):
    engine, notes, models = GatedEngine(tiny_bank), Notes(), counted(tiny_bank)
    with served(tiny_bank, models, engine=engine, watcher=notes) as server:
        with server.client(timeout=0.5) as client, pytest.raises(openai.APITimeoutError):
            chat(client, logit_bias={"65": 100})
        assert notes.has_ended("cancelled")
        engine.gate.set()
        with server.client() as client:
            chat(client, max_tokens=1)
        assert models.held == 0


def asked_raw(server, **asked):
    """A socket that asked for a stream and reads nothing yet."""
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect((host, int(port)))
    content = json.dumps({"model": "tiny", "messages": HELLO, "stream": True, **asked}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {server.keys['admin']}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    client.sendall(head.encode() + content)
    return client


LONG = {"max_tokens": 450, "logprobs": True, "top_logprobs": 20, "logit_bias": {"65": 100}}


@pytest.mark.parametrize(
    "spec",
    [{"times": {"stalled_s": 0.3}}, {"limits": {"unread": 20}, "times": {"stalled_s": 1.0}}],
    ids=["stalled", "too much unread"],
)
def test_a_reader_who_takes_nothing_is_cut_off_and_others_are_served(tiny_bank, spec):
    notes, models = Notes(), counted(tiny_bank)
    with (
        served(tiny_bank, models, spec=spec, send_buffer=4096, watcher=notes) as server,
        closing(asked_raw(server, **LONG)) as slow,
        server.client() as client,
    ):
        assert chat(client, max_tokens=3).choices
        assert notes.has_ended("cancelled")
        told = b""
        try:
            while more := slow.recv(65_536):
                told += more
        except ConnectionResetError:
            pass
        assert b"[DONE]" not in told
    assert models.held == 0


def test_a_reader_who_is_slow_but_reads_gets_everything(tiny_bank):
    with served(tiny_bank, send_buffer=4096) as server, closing(asked_raw(server, **LONG)) as slow:
        told = b""
        while b"[DONE]" not in told:
            told += slow.recv(512)
        assert told.count(b'"finish_reason":"length"') == 1


def test_a_stream_without_news_says_so(tiny_bank):
    engine = SoloEngine(tiny_bank)
    engine.pause()
    spec = {"times": {"heartbeat_s": 0.05}}
    with served(tiny_bank, engine=engine, spec=spec) as server, closing(asked_raw(server, max_tokens=2)) as client:
        told = b""
        while told.count(b": still here") < 2:
            told += client.recv(512)
        engine.pause(False)
        while b"[DONE]" not in told:
            told += client.recv(512)


def test_what_takes_too_long_is_ended(tiny_bank):
    engine, models = SoloEngine(tiny_bank), counted(tiny_bank)
    engine.pause()
    spec = {"times": {"request_s": 0.3}}
    with served(tiny_bank, models, engine=engine, spec=spec) as server, server.client() as client:
        with pytest.raises(openai.APIStatusError) as whole:
            chat(client)
        assert whole.value.status_code == 408
        with pytest.raises(openai.APIError, match="longer than a request may take"):
            list(chat(client, stream=True))
        engine.pause(False)
        assert chat(client, max_tokens=1).choices
        assert models.held == 0


def test_an_answer_that_fails_says_so(tiny_bank, lively):
    gone = lively(tiny_bank, 5)
    tiny_bank.remove(gone)
    models = counted(tiny_bank, gone=gone)
    with served(tiny_bank, models) as server, server.client() as client:
        with pytest.raises(openai.InternalServerError, match="is not in this bank") as whole:
            chat(client, model="gone")
        assert whole.value.status_code == 500
        with pytest.raises(openai.APIError, match="is not in this bank"):
            list(chat(client, model="gone", stream=True))
    assert models.held == 0


def test_an_engine_that_is_full_takes_all_of_a_request_or_nothing(tiny_bank):
    engine, models, notes = SoloEngine(tiny_bank, most_waiting=2), counted(tiny_bank), Notes()
    engine.pause()
    with served(tiny_bank, models, engine=engine, watcher=notes) as server, server.client() as client:
        with pytest.raises(openai.InternalServerError) as full:
            chat(client, n=3)
        assert full.value.status_code == 503
        assert int(full.value.response.headers["retry-after"]) >= 1
        engine.pause(False)
        assert chat(client, max_tokens=1).choices
        assert [one.finish for one in notes.ends] == ["cancelled", "cancelled", "length"]
    assert models.held == 0


class Purse:
    """So many tokens for everybody together."""

    def __init__(self, left):
        self.left = left

    def take(self, who, tokens):
        """As Limits'."""
        if tokens > self.left:
            raise RateLimitedError(f"{who.tenant} has had its share.", retry_after_s=7)
        self.left -= tokens

    def give_back(self, who, tokens):
        """As Limits'."""
        self.left += tokens


def test_a_tenant_past_its_share_is_told_when_to_come_back(tiny_bank):
    purse, models = Purse(100), counted(tiny_bank)
    with served(tiny_bank, models, limits=purse) as server, server.client() as client:
        used = chat(client, max_tokens=50, logit_bias={"257": 100}).usage  # it ends at once
        assert used.completion_tokens == 0
        assert purse.left == 100 - used.prompt_tokens
        with pytest.raises(openai.NotFoundError):
            chat(client, model="nobody", max_tokens=5)
        assert purse.left == 100 - used.prompt_tokens
        with pytest.raises(openai.RateLimitError, match="default has had its share") as limited:
            chat(client, max_tokens=99)
        assert limited.value.response.headers["retry-after"] == "7"
    assert models.held == 0


class Careful(NoGuard):
    """Lets nobody ask about x, takes y out of prompts, and ends answers at an A."""

    def prompt(self, asking):
        """As Guard's."""
        if any("x" in text for text in asking.texts):
            raise BlockedError("Nobody asks about x here.")
        return tuple(text.replace("y", "") for text in asking.texts)

    def filters(self, asking):
        """As Guard's."""
        return (UntilA(),)


class UntilA:
    """Ends at an A."""

    is_blocked = False

    def push(self, text):
        """As TextFilter's."""
        before, found, _ = text.partition("A")
        told = "" if self.is_blocked else before
        self.is_blocked = self.is_blocked or bool(found)
        return told

    def close(self):
        """As TextFilter's."""
        return ""


def test_a_guard_stands_before_and_behind_the_model(tiny_bank):
    notes = Notes()
    with served(tiny_bank, guard=Careful(), watcher=notes) as server, server.client() as client:
        ask = client.completions.create
        with pytest.raises(openai.BadRequestError, match="Nobody asks about x") as blocked:
            ask(model="tiny", prompt="x")
        assert blocked.value.code == "content_filter"
        with pytest.raises(openai.BadRequestError, match="Answers are filtered here"):
            ask(model="tiny", prompt="a", logprobs=1)
        ended = ask(model="tiny", prompt="ayb", logit_bias={"32": 100}, max_tokens=20)
        assert (ended.choices[0].text, ended.choices[0].finish_reason) == ("", "content_filter")
        assert ended.usage.prompt_tokens == 2
        assert ended.usage.completion_tokens == 1
        assert notes.ends[0].finish == "content_filter"
        assert notes.ends[0].filters[0].is_blocked
        stream = list(ask(model="tiny", prompt="a", logit_bias={"32": 100}, max_tokens=20, stream=True))
        assert stream[-1].choices[0].finish_reason == "content_filter"


def test_a_watcher_is_told_of_each_answer_from_begin_to_end(tiny_bank):
    notes = Notes()
    with served(tiny_bank, watcher=notes) as server, server.client() as client:
        answer = chat(client, n=2, seed=3, max_tokens=6, temperature=0.5)
        (first, who), (second, _) = notes.begins
        assert (first.sampling.seed, second.sampling.seed) == (3, 4)
        assert who.tenant == first.tenant == "default"
        assert [one.id for one in notes.firsts] == [first.id, second.id]
        assert [one.text for one in notes.ends] == [choice.message.content for choice in answer.choices]
        assert sum(len(one.tokens_T) for one in notes.ends) == answer.usage.completion_tokens
        assert first.id.startswith(answer.graftwork["request"])
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("nobody")
    assert ("POST", "/v1/chat/completions", 200) in notes.replies
    assert ("GET", "/v1/models/{model:path}", 404) in notes.replies


def test_a_model_of_another_tenant_is_not_there(tiny_bank, lively):
    models = counted(tiny_bank, bot=lively(tiny_bank, 6))
    with served(tiny_bank, models) as server:
        with server.client("elsewhere") as client, pytest.raises(openai.NotFoundError):
            chat(client, model="bot")
        with server.client("viewer") as client:
            assert chat(client, model="bot", max_tokens=1).choices
    assert models.held == 0
