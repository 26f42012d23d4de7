"""Over real HTTP: what is counted, logged and put on record of an answer, and what never is."""

import json

import openai
import pytest
from tests.support.operated import operated
from tests.support.receipts import a_key, trusted

from graftwork.serving.operations.journal import verified
from graftwork.serving.operations.receipts import read_receipt

MARKER = "zebra-quagga"


def asked(marker=MARKER, **more):
    """A request for a few tokens."""
    messages = [{"role": "user", "content": f"Say {marker} to Ruth at 13800138000"}]
    return {"model": "bot", "messages": messages, "max_tokens": 6, "seed": 3, **more}


@pytest.fixture
def bot(bank, lively):
    """Rows by name."""
    return {"bot": lively(bank)}


def test_every_answer_has_a_receipt_that_its_tenant_alone_can_read(bank, bot, tmp_path):
    with operated(bank, tmp_path / "r", bot) as here:
        client = here.server.client()
        whole = client.chat.completions.with_raw_response.create(**asked(n=2))
        streamed = client.chat.completions.with_raw_response.create(**asked(stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in streamed.parse() if c.choices)
        digests = whole.headers["x-graftwork-receipt"].split(", ")
        with here.server.plain() as plain:
            envelopes = [plain.get(f"/v1/receipts/{digest}").text for digest in digests]
            by_id = plain.get(f"/v1/receipts/{streamed.headers['x-request-id']}-0").text
        with here.server.plain("elsewhere") as other:
            assert other.get(f"/v1/receipts/{digests[0]}").status_code == 404
    receipts = [read_receipt(envelope, trusted()) for envelope in [*envelopes, by_id]]
    assert [one.digest for one in receipts[:2]] == digests
    assert [one.receipt.sampling.seed for one in receipts] == [3, 4, 3]
    assert receipts[0].receipt.answer == receipts[2].receipt.answer
    assert receipts[0].receipt.body != receipts[2].receipt.body
    assert receipts[0].receipt.content == "bot"
    assert receipts[0].receipt.base.weights == bank.base.fingerprint.weights
    told = [choice.message.content for choice in whole.parse().choices]
    assert told[0] == text
    assert verified(tmp_path / "r", trusted(a_key())).sequence == 3
    assert MARKER not in "".join(path.read_text() for path in (tmp_path / "r").glob("*.jsonl"))


def test_the_log_has_what_happened_and_never_what_was_said(bank, bot, tmp_path):
    with operated(bank, tmp_path / "r", bot) as here:
        client = here.server.client()
        said = client.chat.completions.create(**asked()).choices[0].message.content
        list(client.chat.completions.create(**asked(stream=True)))
        for wrong in (asked(model=MARKER), asked(max_tokens=0), asked(max_tokens=10**6), asked(top_k=MARKER)):
            with pytest.raises(openai.OpenAIError):
                client.chat.completions.create(
                    **{k: v for k, v in wrong.items() if k != "top_k"},
                    extra_body={k: v for k, v in wrong.items() if k == "top_k"},
                )
        with here.server.plain() as plain:
            json_type = {"content-type": "application/json"}
            plain.post("/v1/chat/completions", content=f"{{{MARKER}", headers=json_type)
            plain.get(f"/v1/{MARKER}?{MARKER}={MARKER}")
    lines = here.lines()
    assert MARKER not in "".join(lines)
    assert said
    assert said not in "".join(lines)
    assert "138001" not in "".join(lines)
    answers = [told for told in map(json.loads, lines) if told["event"] == "answer"]
    assert [(a["finish"], a["new_tokens"], a["model"], a["tenant"], a["actor"]) for a in answers] == [
        ("length", 6, "bot", "default", "admin.1")
    ] * 2
    assert all(0 < a["first_s"] <= a["total_s"] and len(a["receipt"]) == 64 for a in answers)
    requests = [told for told in map(json.loads, lines) if told["event"] == "request"]
    assert [r["status"] for r in requests] == [200, 200, 404, 400, 400, 400, 400, 404]


def test_contents_are_logged_only_where_asked_for_and_without_personal_data(bank, bot, tmp_path):
    with operated(bank, tmp_path / "r", bot, contents="deidentified") as here:
        here.server.client().chat.completions.create(**asked())
    lines = "".join(here.lines())
    assert f"Say {MARKER} to" in lines
    assert "13800138000" not in lines
    assert "[PHONE]" in lines


def test_a_guarded_prompt_is_masked_refused_counted_and_on_record(bank, bot, tmp_path):
    prompt = [
        {"filter": "personal_data", "action": "mask"},
        {"filter": "pattern", "action": "block", "name": "secret", "pattern": "top secret"},
    ]
    answer = [{"filter": "length", "action": "block", "most_characters": 2}]
    policy = {"models": {"bot": {"prompt": prompt, "answer": answer, "blocked_text": "[ended]"}}}
    with operated(bank, tmp_path / "r", bot, policy=policy) as here:
        client = here.server.client()
        done = client.chat.completions.with_raw_response.create(**asked(max_tokens=40))
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**asked("top secret"))
        with here.server.plain() as plain:
            counts = plain.get("/metrics").text
            envelope = plain.get(f"/v1/receipts/{done.headers['x-graftwork-receipt']}").text
        with here.server.plain("viewer") as viewer:
            assert viewer.get("/metrics").status_code == 403
    choice = done.parse().choices[0]
    assert choice.finish_reason == "content_filter"
    assert choice.message.content.endswith("[ended]")
    assert refused.value.body["message"] == "The request was refused by the guard of this service."
    receipt = read_receipt(envelope, trusted()).receipt
    assert receipt.finish == "content_filter"
    assert receipt.guard.interventions == {"length block": 1, "personal_data mask": 1}
    for line in (
        'graftwork_guard_total{action="mask",filter="personal_data",kind="phone",side="prompt"} 1.0',
        'graftwork_guard_total{action="block",filter="pattern",kind="secret",side="prompt"} 1.0',
        'graftwork_guard_total{action="block",filter="length",kind="too_long",side="answer"} 1.0',
        'graftwork_answers_total{finish="content_filter",model="bot"} 1.0',
    ):
        assert line in counts


def test_whoever_has_had_their_share_is_told_when_to_come_back(bank, bot, tmp_path):
    rates = {"key": {"tokens_per_minute": 200}}
    with operated(bank, tmp_path / "r", bot, rates=rates) as here:
        client = here.server.client()
        used = 0
        refused = None
        while refused is None:
            try:
                used += client.chat.completions.create(**asked()).usage.total_tokens
            except openai.RateLimitError as error:
                refused = error
        assert float(refused.response.headers["retry-after"]) > 0
        here.server.client("viewer").chat.completions.create(**asked())
    assert 100 < used <= 200
