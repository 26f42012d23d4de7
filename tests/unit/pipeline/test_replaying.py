"""A receipt from a real server is replayed: the same tokens, or what is other and from where on."""

import asyncio
import json

import pytest
import torch
from tests.support.operated import operated
from tests.support.receipts import a_key, trusted
from tests.support.registries import memory_registry

from graftwork.core.errors import IntegrityError, NotFoundError, SpecError
from graftwork.core.spec import parse, plain
from graftwork.pipeline.replaying import base_note, engine_note, replay, served_of
from graftwork.registry.access.roles import principal
from graftwork.registry.signing.envelope import of_receipt, signed
from graftwork.serving.operations.receipts import Receipt, read_receipt

WHO = principal("admin.1", ["admin"])
BODY = {"model": "bot", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40, "seed": 3}


@pytest.fixture
def replayed(bank, lively, tmp_path):
    """`replayed(body=..., receipt=..., row=...)`: ask a server, then replay with what is changed."""
    rows = {"bot": lively(bank), "other": lively(bank, seed=5)}
    with operated(bank, tmp_path / "r", rows) as here:

        def ask(body=BODY, number=0, **changes):
            content = json.dumps(body).encode()
            with here.server.plain() as client:
                path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
                headers = {"content-type": "application/json"}
                told = client.post(path, content=content, headers=headers)
                digest = told.headers["x-graftwork-receipt"].split(", ")[number]
                envelope = client.get(f"/v1/receipts/{digest}").text
            receipt = read_receipt(envelope, trusted()).receipt
            return content, parse(Receipt, {**plain(receipt), **changes})

        def again(content, receipt, name=None, policy=None, engine=None):
            def served():
                return asyncio.run(here.server.parts.models.acquire(WHO, name or receipt.model))

            note = engine or engine_note(bank, here.server.engine)
            now = {"here": (base_note(bank), note), "policy": policy, "served": served}
            return replay(here.server.parts, WHO, receipt, content, **now)

        again.ask = ask
        no_policy = {"guard": None}
        again.asked = lambda body=BODY, number=0, **changes: ask(body, number, **{**no_policy, **changes})
        yield again


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (BODY, 0),
        ({**BODY, "temperature": 0}, 0),
        ({**BODY, "n": 3, "max_tokens": 9}, 2),
        ({"model": "bot", "prompt": ["One", "Two"], "n": 2, "max_tokens": 9, "seed": 1}, 3),
        ({**BODY, "stop": ["a", "e"], "frequency_penalty": 0.5, "logit_bias": {"65": 2.0}}, 0),
    ],
)
def test_an_answer_is_made_again_token_for_token(replayed, body, number):
    content, receipt = replayed.asked(body, number)
    told = replayed(content, receipt)
    assert (told.tokens, told.differences) == ("equal", ())
    assert told.count >= receipt.answer.count > 0


def test_another_adapter_says_something_else_and_from_where_on(replayed):
    content, receipt = replayed.asked({**BODY, "temperature": 0})
    told = replayed(content, receipt, name="other")
    assert told.tokens == "other"
    assert told.differences[0] == "content: bot then, other now"
    assert told.differences[1].startswith("answer: other tokens from one of the tokens 1 to 16 on")


def test_an_answer_that_departs_late_is_told_so(replayed):
    content, receipt = replayed.asked()
    blocks = (receipt.answer.blocks[0], "0" * 64)
    answer = {**plain(receipt.answer), "digest": "0" * 64, "blocks": blocks}
    told = replayed(content, parse(Receipt, {**plain(receipt), "answer": answer}))
    assert told.differences == ("answer: other tokens from one of the tokens 17 to 32 on",)


def test_another_torch_is_told_though_the_tokens_are_the_same(replayed):
    content, receipt = replayed.asked()
    engine = {**plain(receipt.engine), "torch": "1.0", "threads": 99}
    told = replayed(content, parse(Receipt, {**plain(receipt), "engine": engine}))
    assert told.tokens == "equal"
    assert told.differences == (
        f"engine: torch 1.0 then, {torch.__version__} now",
        f"engine: threads 99 then, {torch.get_num_threads()} now",
    )


def test_a_body_of_one_more_space_is_another_body(replayed):
    content, receipt = replayed.asked()
    with pytest.raises(
        SpecError, match=r"the body that the receipt is of, with SHA-256 [0-9a-f]{12}\.\.\., byte for byte"
    ):
        replayed(content + b" ", receipt)
    with pytest.raises(SpecError, match="a receipt that names its request's body"):
        replayed(content, parse(Receipt, {**plain(receipt), "body": None}))


def test_a_version_that_is_gone_and_a_policy_that_changed_are_told(replayed, bank):
    content, receipt = replayed.asked()
    told = replayed(content, receipt, name="gone", policy="b" * 64)
    assert told.tokens == "not answered"
    assert told.differences[0] == "guard: policy none then, bbbbbbbbbbbb now"
    assert told.differences[1].startswith("version: ")
    registry, _ = memory_registry()
    with pytest.raises(NotFoundError, match="no version"):
        served_of(bank, registry, WHO, "bot", "c" * 64)
    assert served_of(bank, registry, WHO, "bot", None).content == bank.base.fingerprint.weights


def test_a_prompt_that_comes_to_other_tokens_is_not_answered(replayed):
    content, receipt = replayed.asked()
    prompt = {"count": 5, "digest": "0" * 64}
    told = replayed(content, parse(Receipt, {**plain(receipt), "prompt": prompt}))
    assert told.tokens == "not answered"
    assert told.differences[0].startswith("prompt: 5 tokens then, ")


def test_a_receipt_that_was_written_over_is_refused(replayed):
    _, receipt = replayed.asked()
    forged = parse(Receipt, {**plain(receipt), "finish": "length", "tenant": "elsewhere"})
    envelope = signed(of_receipt("0" * 64, plain(forged)), a_key())
    with pytest.raises(IntegrityError, match="says something else"):
        read_receipt(envelope, trusted())
