"""The chunked loss is naive cross-entropy over full logits, in value and gradient."""

import pytest
import torch
from tests.support.tiny_base import FAMILIES
from torch.nn.functional import cross_entropy

from graftwork.adapters.bank import AdapterBank
from graftwork.base import head
from graftwork.base.head import halves, nats, row_nats
from graftwork.core.errors import IntegrityError

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture
def is_target_BT():
    found = torch.rand(3, 9, generator=torch.Generator().manual_seed(3)) < 0.4
    found[:, 0] = False
    assert found.any(1).all()
    return found


def naive(model, tokens_BT, is_target_BT, reduction="sum"):
    """Full logits, labels shifted by hand, -100 where nothing is learned."""
    logits_BTV = model(input_ids=tokens_BT).logits
    labels_BT = tokens_BT.masked_fill(~is_target_BT, -100)
    return cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=-100, reduction=reduction
    )


@pytest.mark.parametrize("chunk", [1 << 22, 600, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_value_and_gradient_are_those_of_full_logits(monkeypatch, load, lively, tokens_BT, is_target_BT, family, chunk):
    monkeypatch.setattr(head, "CHUNK_ELEMENTS", chunk)
    bank, tokens = AdapterBank(load(family)), tokens_BT(3)
    handle = lively(bank)
    leaves = [t.requires_grad_() for _, t in bank[handle].tensors()]
    split = halves(bank.base.model)
    with bank.route([handle] * 3):
        ours = nats(split, tokens, is_target_BT)
        gradients = torch.autograd.grad(ours / 7, leaves)
        theirs = naive(bank.base.model, tokens, is_target_BT)
        expected = torch.autograd.grad(theirs / 7, leaves)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    torch.testing.assert_close(gradients, expected, **CLOSE)


@pytest.mark.parametrize("setting", [{"final_logit_softcapping": 0.7}, {"logit_scale": 0.3}, {"logits_scaling": 4.0}])
def test_heads_that_bend_their_logits_are_followed_or_refused(load, tokens_BT, setting):
    """A plain Llama does not read these settings, so following them there must be noticed."""
    base = load()
    for name, value in setting.items():
        setattr(base.model.config, name, value)
    with pytest.raises(IntegrityError, match="beyond a projection"):
        halves(base.model)


def test_soft_capping_is_in_value_and_gradient(load, lively, tokens_BT, is_target_BT):
    base = load("gemma3")
    base.model.config.final_logit_softcapping = 0.7  # Gemma reads it at every forward pass
    bank = AdapterBank(base)
    handle = lively(bank)
    leaves = [t.requires_grad_() for _, t in bank[handle].tensors()]
    split = halves(base.model)
    with bank.route([handle] * 3):
        assert base.model(input_ids=tokens_BT(3)).logits.abs().max() < 0.7
        ours = nats(split, tokens_BT(3), is_target_BT)
        theirs = naive(base.model, tokens_BT(3), is_target_BT)
        torch.testing.assert_close(ours, theirs, **CLOSE)
        torch.testing.assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), **CLOSE)


def test_the_loss_is_of_the_next_token_and_not_of_this_one(load, tokens_BT):
    base, tokens = load(), tokens_BT(1)
    only_BT = torch.zeros(1, 9, dtype=torch.bool)
    only_BT[0, 4] = True
    with torch.no_grad():
        log_p = base.model(input_ids=tokens).logits[0].log_softmax(-1)
    expected = -log_p[3, tokens[0, 4]]
    torch.testing.assert_close(nats(halves(base.model), tokens, only_BT), expected, **CLOSE)
    assert all((expected + log_p[t, tokens[0, u]]).abs() > 1e-3 for t in (2, 3, 4, 5) for u in (3, 5))


def test_rows_sum_to_the_whole(load, tokens_BT, is_target_BT):
    base, tokens = load(), tokens_BT(3)
    split = halves(base.model)
    rows_B = row_nats(split, tokens, is_target_BT)
    one_by_one = torch.stack([naive(base.model, tokens[i, None], is_target_BT[i, None]) for i in range(3)])
    torch.testing.assert_close(rows_B, one_by_one, **CLOSE)
    torch.testing.assert_close(rows_B.sum(), nats(split, tokens, is_target_BT), **CLOSE)


@pytest.mark.parametrize("chunk", [1 << 22, 1])
def test_rows_of_a_mixed_batch_are_their_own(monkeypatch, load, lively, tokens_BT, is_target_BT, chunk):
    monkeypatch.setattr(head, "CHUNK_ELEMENTS", chunk)
    bank, tokens = AdapterBank(load()), tokens_BT(3)
    rows = [lively(bank, 1), None, lively(bank, 2)]
    split = halves(bank.base.model)
    with bank.route(rows):
        mixed = row_nats(split, tokens, is_target_BT)
    for i, row in enumerate(rows):
        with bank.route([row]):
            torch.testing.assert_close(mixed[i, None], row_nats(split, tokens[i, None], is_target_BT[i, None]), **CLOSE)


def test_padding_on_the_right_changes_nothing(load, tokens_BT, is_target_BT):
    split = halves(load().model)
    tokens, wider = tokens_BT(3), torch.nn.functional.pad(tokens_BT(3), (0, 5))
    wider_targets = torch.nn.functional.pad(is_target_BT, (0, 5))
    torch.testing.assert_close(nats(split, wider, wider_targets), nats(split, tokens, is_target_BT), **CLOSE)


def test_no_target_is_no_loss(load, tokens_BT):
    split = halves(load().model)
    nothing = torch.zeros(3, 9, dtype=torch.bool)
    assert nats(split, tokens_BT(3), nothing) == 0
    assert row_nats(split, tokens_BT(3), nothing).tolist() == [0, 0, 0]


def test_a_bfloat16_loss_is_summed_in_float32(load, tokens_BT, is_target_BT):
    base = load("llama", "bfloat16")
    found = nats(halves(base.model), tokens_BT(3), is_target_BT)
    assert found.dtype == torch.float32
    with torch.no_grad():
        logits = base.model(input_ids=tokens_BT(3)).logits.float()
    labels = tokens_BT(3).masked_fill(~is_target_BT, -100)
    expected = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(
        found, expected, rtol=1e-3, atol=0
    )  # another matrix shape may round otherwise; measured 0


def test_a_body_without_a_head_is_refused(load):
    with pytest.raises(IntegrityError, match="no output head"):
        halves(load().model.model)
