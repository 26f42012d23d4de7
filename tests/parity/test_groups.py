"""Records of a group are learned as if each were alone, also where what they begin with is computed once."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.methods import lively, request
from torch.nn.functional import cross_entropy

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.method import METHODS
from graftwork.adapters.route import Group
from graftwork.adapters.sites.records import Asked, of_records, understood
from graftwork.adapters.sites.watched import Attention
from graftwork.core.errors import WorkError
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.data.shared import laid_out

FAMILIES = ("llama", "gpt2", "gemma3", "qwen2", "mixtral")
IN_FRONT = ("prefix_tuning", "prompt_tuning")
SHARING = [name for name in METHODS if name not in IN_FRONT]


class Exact(torch.nn.Module):
    """RMS norm in the type of its input. The library's rounds to float32 in between: the gradient of a state that
    several records see is then rounded either before or after it is summed, a difference of 6e-8."""

    def __init__(self, norm, eps, gain):
        super().__init__()
        self.weight, self.eps, self.gain = norm.weight, eps, gain

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * (self.gain + self.weight)


def exact(base):
    """The same base with norms that do not round."""
    for name, norm in list(base.model.named_modules()):
        if type(norm).__name__.endswith("RMSNorm"):
            gemma = type(norm).__name__.startswith("Gemma")
            made = Exact(norm, norm.eps if gemma else norm.variance_epsilon, 1.0 if gemma else 0.0)
            base.model.get_submodule(name.rpartition(".")[0]).__setattr__(name.rpartition(".")[2], made)
    return base


def records_of(lengths, beginning, *, seed=0):
    """Records with `beginning` tokens in common; about half of the others are targets, the last always."""
    draw = torch.Generator().manual_seed(seed)
    common = torch.randint(0, 256, (beginning,), generator=draw).tolist()
    made = []
    for i, length in enumerate(lengths):
        own = torch.randint(0, 256, (length,), generator=draw).tolist()
        targets = [*(torch.rand(length, generator=draw) < 0.5).tolist()[:-1], True]
        made.append(Encoded((*common, *own), (*[False] * beginning, *targets), Origin("r.jsonl", i + 1)))
    return made


def learned(bank, rows):
    """Loss and gradients by adapter of one packed row: (handle, what it learns) one after another."""
    for handle, _ in rows:
        for _, tensor in bank[handle].trained():
            tensor.requires_grad_().grad = None
    groups = [(handle, Group(laid.lengths, laid.shared)) for handle, laid in rows]
    tokens, positions = (torch.cat([getattr(laid, name) for _, laid in rows]) for name in ("tokens_N", "positions_N"))
    with bank.route_groups(groups, training=True):
        hidden_NH = bank.base.halves.hidden_BTH(tokens[None], positions[None])[0]
        losses = []
        for part_NH, (_, laid) in zip(hidden_NH.split([len(laid.tokens_N) for _, laid in rows]), rows, strict=True):
            logits = bank.base.halves.logits_of(part_NH[laid.states_P])
            losses.append(cross_entropy(logits.double(), laid.targets_P, reduction="sum"))
        torch.stack(losses).sum().backward()
    found = [{name: t.grad.clone() for name, t in bank[handle].trained() if t.grad is not None} for handle, _ in rows]
    return [float(loss.detach()) for loss in losses], found


def alone(bank, handle, records):
    """The same, a record at a time, by the base's own attention and with all of its tokens."""
    tensors = dict(bank[handle].trained())
    for tensor in tensors.values():
        tensor.requires_grad_().grad = None
    total = 0.0
    for record in records:
        with bank.route([handle], training=True):
            logits = bank.base.model(input_ids=torch.tensor([record.tokens_T])).logits[0, :-1]
            wanted = torch.tensor(record.is_target_T[1:])
            loss = cross_entropy(logits[wanted], torch.tensor(record.tokens_T[1:])[wanted], reduction="sum")
            loss.backward()
        total += float(loss.detach())
    return total, {name: t.grad.clone() for name, t in tensors.items() if t.grad is not None}


def assert_same(found, expected, within=1e-9):
    """Differences are shares of the largest entry of all: 1e-13 was seen."""
    (loss, ours), (right, theirs) = found, expected
    assert loss == pytest.approx(right, rel=within)
    assert ours.keys() == theirs.keys()
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in theirs.items():
        assert float((ours[name] - gradient).abs().max()) <= within * largest, name


def one(found):
    losses, gradients = found
    return losses[0], gradients[0]


def asked_of(family, name):
    """Of a base with fused experts only what sees each token by itself can be adapted by most methods."""
    if family != "mixtral" or name in ("lora", "bottleneck"):
        return {}
    return {"targets": ["attention.k", "attention.v"]} if name == "ia3" else {"targets": ["attention"]}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SHARING)
def test_a_shared_beginning_changes_no_gradient(load, family, name):
    """Mixtral chooses its experts in float32: 4e-9 was seen."""
    bank, within = AdapterBank(exact(load(family))), 1e-7 if family == "mixtral" else 1e-9
    handle = lively(bank, request(name, **asked_of(family, name)))
    records = records_of([9, 3, 30, 1, 8], 12)
    whole, shared = laid_out(records, shares=False), laid_out(records, shares=True)
    assert (whole.shared, shared.shared) == (0, 11)  # the state at the 12th predicts a record's own first token
    expected = alone(bank, handle, records)
    assert_same(one(learned(bank, [(handle, whole)])), expected, within)
    assert_same(one(learned(bank, [(handle, shared)])), expected, within)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("name", IN_FRONT)
def test_records_behind_a_prefix_are_learned_as_if_alone_and_share_nothing(load, family, name):
    bank = AdapterBank(exact(load(family)))
    handle = lively(bank, request(name, positions=3))
    records = records_of([9, 3, 30], 12)
    assert_same(one(learned(bank, [(handle, laid_out(records, shares=False))])), alone(bank, handle, records))
    with pytest.raises(WorkError, match="cannot share what they begin with"):
        learned(bank, [(handle, laid_out(records, shares=True))])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_oss"])
def test_the_bases_own_attention_knows_shared_beginnings_too(load, family, attention, monkeypatch):
    """As where ours does not know what a base asks; `eager` takes its softmax in float32: 2e-7 was seen."""
    base = exact(load(family))
    if family == "gpt_oss" and attention == "sdpa":
        pytest.skip("its attention has sinks, which sdpa has not")
    base.model.set_attn_implementation(attention)
    bank = AdapterBank(base)
    handle = lively(bank, request("lora"))
    records = records_of([9, 3, 30, 1, 8], 12)
    expected = alone(bank, handle, records)
    with torch.autocast("cpu", enabled=attention == "sdpa", dtype=torch.bfloat16):  # float64 stays as it is
        found = learned(bank, [(handle, laid_out(records, shares=True))])
    assert_same(one(found), expected, 5e-6 if attention == "eager" else 1e-9)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 25), min_size=1, max_size=7), st.integers(0, 40), st.integers(0, 99))
def test_any_records_with_any_beginning(load, lengths, beginning, seed):
    bank = AdapterBank(exact(load("llama")))
    handle = lively(bank, request("lora"), seed)
    records = records_of(lengths, beginning + 1, seed=seed)
    expected = alone(bank, handle, records)
    assert_same(one(learned(bank, [(handle, laid_out(records, shares=True))])), expected)


@pytest.mark.parametrize("beginning", [9, 16, 17, 40])
@pytest.mark.parametrize("length", [2, 15, 16, 17, 50])
def test_windows_shorter_and_longer_than_records(load, beginning, length):
    """The base's sliding layers see 16 tokens."""
    bank = AdapterBank(exact(load("gemma3")))
    handle = lively(bank, request("lora"))
    records = records_of([length, length + 1, 3], beginning)
    assert_same(one(learned(bank, [(handle, laid_out(records, shares=True))])), alone(bank, handle, records))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_group_has_the_same_bits_whatever_stands_beside_it(load, dtype):
    """Groups of an even number of tokens: torch computes an activation's last elements, where they are no multiple of
    32, by another exponential, and this base's MLP is 48 wide."""
    bank = AdapterBank(load("llama", dtype))
    rows = []
    for number, name in enumerate(["lora", "dora", "ia3", "lora"]):
        handle = lively(bank, request(name), number)
        rows.append((handle, laid_out(records_of([10 + number, 3, 30], 12 + number, seed=number), shares=True)))
    losses, together = learned(bank, rows)
    for number, row in enumerate(rows):
        loss, gradients = one(learned(bank, [row]))
        assert loss == losses[number]
        assert all(torch.equal(gradient, together[number][name]) for name, gradient in gradients.items())


def call_of(tensor_1HND, options):
    """What a base asks of sdpa, keys and values being the queries."""
    return Attention(
        module=torch.nn.Identity(),
        query_BHTD=tensor_1HND,
        key_BKSD=tensor_1HND,
        value_BKSD=tensor_1HND,
        mask=None,
        options=options,
        plain=torch.nn.Identity(),
        causal_if_unmasked=True,
        mask_is_added=False,
    )


def test_layers_with_and_without_a_window_do_not_take_each_others_cut():
    draw, group = torch.Generator().manual_seed(0), Group((5, 9), 4)
    calls = [call_of(torch.randn(1, 2, 18, 4, generator=draw), {"sliding_window": window}) for window in (None, 3, 4)]
    kept = {}
    found = [of_records(call, group, kept) for call in (*calls, *calls)]
    fresh = [of_records(call, group, {}) for call in calls]
    assert all(torch.equal(one, other) for one, other in zip(found, [*fresh, *fresh], strict=True))


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, Asked(0.5, None)),
        ({"scaling": 0.3, "sliding_window": 7, "dropout": 0.0, "position_ids": torch.arange(3)}, Asked(0.3, 7)),
        ({"softcap": None, "s_aux": None, "is_causal": True, "use_cache": False}, Asked(0.5, None)),
        ({"dropout": 0.1}, None),
        ({"softcap": 30.0}, None),
        ({"s_aux": torch.zeros(2)}, None),
        ({"something_new": 1}, None),
    ],
)
def test_what_is_not_understood_is_left_to_the_base(options, asked):
    q = torch.zeros(1, 2, 3, 4)
    call = call_of(q, options)
    assert understood(call) == asked
    assert understood(replace(call, mask_is_added=True)) is None  # `eager`, asked by name
    assert understood(replace(call, causal_if_unmasked=False)) is None
    assert understood(replace(call, key_BKSD=q.double())) is None
    assert understood(replace(call, query_BHTD=q.to("meta"))) is None
