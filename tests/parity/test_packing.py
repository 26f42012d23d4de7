"""Records packed into rows are learned as if each had a row of its own."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.tiny_base import FAMILIES

from graftwork.adapters.bank import AdapterBank
from graftwork.base.head import halves, nats
from graftwork.base.packing import refuse_mixed_packs
from graftwork.core.errors import SpecError
from graftwork.data.collate import collate, collate_packed
from graftwork.data.encode import Encoded
from graftwork.data.packs import packs
from graftwork.data.records import Origin

ATTENTION = ("sdpa", "eager")


def records_of(lengths, seed=0):
    draw = torch.Generator().manual_seed(seed)
    made = []
    for i, length in enumerate(lengths):
        tokens = torch.randint(0, 256, (length,), generator=draw).tolist()
        targets = (torch.rand(length, generator=draw) < 0.6).tolist()
        made.append(Encoded(tuple(tokens), tuple(targets), Origin("r.jsonl", i + 1)))
    return made


def gradients(bank, handle, batches):
    """Loss in nats and the adapter's gradients, over `batches`, in no particular order."""
    tensors = dict(bank[handle].tensors())
    for tensor in tensors.values():
        tensor.requires_grad_().grad = None
    total = 0.0
    for batch in batches:
        with bank.route([handle] * len(batch.tokens_BT), training=True):
            loss = nats(bank.base.halves, batch.tokens_BT, batch.is_target_BT, batch.positions_BT)
            if loss.requires_grad:
                loss.backward()
        total += float(loss.detach())
    return total, {name: tensor.grad.clone() for name, tensor in tensors.items()}


def assert_same(packed, alone, within=1e-9):
    """Differences are shares of the largest entry of all; `eager` takes its softmax in float32, whatever the model's
    type: 1.4e-6 was seen."""
    assert packed[0] == pytest.approx(alone[0], rel=within)
    largest = max(float(expected.abs().max()) for expected in alone[1].values())
    for name, expected in alone[1].items():  # where one token is attended to, some gradients are zero but for rounding
        off = float((packed[1][name] - expected).abs().max()) / max(largest, 1e-30)
        assert off <= within, f"{name}: {off}"


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_a_packed_row_is_that_of_its_records(family, attention, load, lively):
    base = load(family)
    base.model.set_attn_implementation(attention)
    bank = AdapterBank(base)
    handle = lively(bank, targets=["all"])
    records = records_of([5, 1, 9, 30, 2])
    refuse_mixed_packs(base.halves, base.device)
    alone = gradients(bank, handle, [collate([record]) for record in records])
    assert_same(gradients(bank, handle, [collate_packed(records)]), alone, 5e-6 if attention == "eager" else 1e-9)


def test_flex_attention_keeps_packed_records_apart(load):
    base = load("llama", "float32")  # on a CPU it has no float64 and no backward pass
    base.model.set_attn_implementation("flex_attention")
    refuse_mixed_packs(base.halves, base.device)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 20), min_size=1, max_size=9), st.integers(2, 40), st.integers(0, 99))
def test_any_order_and_any_packing_gives_the_same_gradient(bank, lively, lengths, row_tokens, seed):
    handle = lively(bank, targets=["all"])
    records = records_of(lengths, seed)
    if not any(record.num_targets for record in records):
        return
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(seed)).tolist()
    rows = packs([lengths[i] for i in order], row_tokens=row_tokens)
    packed = [collate_packed([records[order[k]] for k in row]) for row in rows]
    assert_same(gradients(bank, handle, packed), gradients(bank, handle, [collate([r]) for r in records]))
    bank.remove(handle)


def test_a_base_that_looks_across_the_border_is_refused(load):
    base = load("llama")
    body = base.halves.body

    class Leaky(torch.nn.Module):
        def forward(self, **asked):
            asked.pop("position_ids", None)
            return body(**asked)

    leaky = type(base.halves)(Leaky(), base.halves.logits_of, base.halves.vocab_size)
    with pytest.raises(SpecError, match="Its packed records are not kept apart"):
        refuse_mixed_packs(leaky, base.device)


def test_the_halves_take_packed_rows(load):
    base = load("llama")
    split = halves(base.model)
    one, two = records_of([4, 6])
    packed = collate_packed([one, two])
    hidden = split.hidden_BTH(packed.tokens_BT, packed.positions_BT)[0]
    for record, part in ((one, hidden[:4]), (two, hidden[4:])):
        alone = split.hidden_BTH(torch.tensor([record.tokens_T]))[0]
        torch.testing.assert_close(part, alone)
