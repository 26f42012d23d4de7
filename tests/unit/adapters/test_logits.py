"""A fingerprint of logits says what the adapter on the disk does, exactly, and is read strictly."""

import json

import pytest
import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.adapters.logits import (
    FILE,
    KEPT,
    PROMPTS,
    digest_of_prompt,
    fingerprint_bytes,
    message_of,
    read_fingerprint,
)
from graftwork.adapters.probing import fingerprint_of, put_fingerprint
from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError


@pytest.fixture
def bank(load):
    return AdapterBank(load(dtype="float32"))


@pytest.fixture
def written(bank, lively, tmp_path):
    """The folder of an adapter with its fingerprint."""
    folder = tmp_path / "adapter"
    write_adapter(folder, bank[lively(bank)], bank.base, {})
    put_fingerprint(folder, bank)
    return folder


def test_the_prompts_are_those_that_they_were():
    assert digest([digest_of_prompt(prompt) for prompt in PROMPTS])[:12] == "dd19cac5b358"


def test_it_holds_what_base_and_adapter_say(bank, written):
    found = read_fingerprint((written / FILE).read_bytes())
    assert (found.dtype, found.base, len(found.asked)) == ("float32", bank.base.fingerprint.digest, len(PROMPTS))
    assert found.adapter == json.loads((written / "graftwork.json").read_text())["digest"]
    handle = bank.load(written)
    for prompt, one in zip(PROMPTS, found.asked, strict=True):
        tokens_T = bank.base.chat.prompt(message_of(prompt))
        assert list(one.tokens) == tokens_T
        with torch.no_grad():
            base_V = bank.base.model(input_ids=torch.tensor([tokens_T])).logits[0, -1]
            with bank.route([handle]):
                adapter_V = bank.base.model(input_ids=torch.tensor([tokens_T])).logits[0, -1]
        assert list(one.ids) == adapter_V.topk(KEPT).indices.tolist()
        torch.testing.assert_close(torch.tensor(one.adapter), adapter_V[list(one.ids)], atol=1e-4, rtol=0)
        torch.testing.assert_close(torch.tensor(one.base), base_V[list(one.ids)], atol=1e-4, rtol=0)
    assert found.effect > 0.5


def test_it_leaves_the_bank_and_what_chance_is_drawn_from_as_they_were(bank, lively, tmp_path):
    handle, state = lively(bank), torch.random.get_rng_state()
    before = (len(bank), bank.base.tensor_digest(), bank[handle].digest())
    folder = tmp_path / "adapter"
    write_adapter(folder, bank[handle], bank.base, {})
    put_fingerprint(folder, bank)
    assert (len(bank), bank.base.tensor_digest(), bank[handle].digest()) == before
    assert torch.equal(state, torch.random.get_rng_state())


def test_twice_the_same_bytes(bank, written):
    first = (written / FILE).read_bytes()
    put_fingerprint(written, bank)
    assert (written / FILE).read_bytes() == first == fingerprint_bytes(read_fingerprint(first))


def test_an_untrained_adapter_has_no_effect_on_record(bank, lora):
    handle = bank.fresh(lora(), seed=1)
    assert fingerprint_of(bank, (handle,), digest=bank[handle].digest()).effect == 0


def test_what_stands_on_another_is_held_against_that(bank, lively, lora):
    lower, fresh = lively(bank), bank.fresh(lora(), seed=1)
    found = fingerprint_of(bank, (lower, fresh), digest=bank[fresh].digest())
    assert found.effect == 0
    assert found.asked[0].under == found.asked[0].adapter != found.asked[0].base


def test_a_long_prompt_is_cut_at_its_beginning(bank, lively, monkeypatch):
    monkeypatch.setattr("graftwork.adapters.probing.PROMPTS", ("x" * 2000,))
    (asked,) = fingerprint_of(bank, (lively(bank),), digest="0" * 64).asked
    assert len(asked.tokens) == bank.base.facts.context_tokens // 2
    assert list(asked.tokens[-11:]) == bank.base.chat.prompt(message_of("x"))[-11:]


def test_logits_that_are_no_numbers_are_refused(bank, lively):
    handle = lively(bank)
    bank[handle].placed["model.layers.0.mlp.down_proj"].params["b_OR"].fill_(float("nan"))
    with pytest.raises(IntegrityError, match="no finite numbers"):
        fingerprint_of(bank, (handle,), digest="0" * 64)


def spoilt(change):
    def apply(raw):
        change(raw)
        return json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: json.dumps(raw, indent=1).encode(), "not as it was written"),
        (lambda raw: b"{", "no fingerprint"),
        (lambda raw: b'{"format":1,"format":1}', "stands twice"),
        (lambda raw: b"\xff", "no fingerprint"),
        (lambda raw: b"[" * 100_000, "no fingerprint"),
        (lambda raw: b" " * 2_000_000, "at most 1,000,000 are read"),
        (spoilt(lambda raw: raw.update(format=2)), "format = 2"),
        (spoilt(lambda raw: raw.update(extra=1)), "extra = 1: expected no such key"),
        (spoilt(lambda raw: raw["asked"][0]["adapter"].pop()), "expected 16 numbers, as there are ids"),
        (spoilt(lambda raw: raw["asked"][0]["ids"].__setitem__(1, raw["asked"][0]["ids"][0])), "each token once"),
        (spoilt(lambda raw: raw["asked"][0]["tokens"].__setitem__(0, -1)), "0 or more"),
        (spoilt(lambda raw: raw["asked"].clear()), "1 or more entries"),
    ],
)
def test_it_is_read_strictly(written, change, words):
    raw = json.loads((written / FILE).read_bytes())
    with pytest.raises(IntegrityError, match=words):
        read_fingerprint(change(raw))
