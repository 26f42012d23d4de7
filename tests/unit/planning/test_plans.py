"""What a plan counts is what torch holds, and what it says fits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tiny_base import make_base

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import load_base
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.data.shared import laid_out
from graftwork.planning.capacity import bits_of, capacity_of
from graftwork.planning.figures import Heads
from graftwork.planning.memory import num_trained
from graftwork.planning.plan import Machine, Model, Request, plan_of
from graftwork.planning.workload import Laying, Sample, Steps, alike, workload_of
from graftwork.training.memory import checkpoint_activations

METHODS = [
    {"method": "lora", "rank": 4},
    {"method": "lora", "rank": {"kind": "tiered"}},
    {"method": "dora", "rank": 2},
    {"method": "ia3"},
    {"method": "adalora", "rank": 2, "init_rank": 3},
    {"method": "prefix_tuning", "positions": 5},
    {"method": "bottleneck"},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return load_base(str(make_base(tmp_path_factory.mktemp("base"))), dtype="float32")


def request(base, adapter, **more):
    model = Model(name="llama", facts=base.facts, heads=Heads(queries=4, keys=2, dim=8), tied=False)
    asked = {
        "model": model,
        "adapter": parse_adapter_spec(adapter),
        "is_full": False,
        "sample": alike(64, 16, num=8),
        "batch_size": 8,
        "accumulation": 1,
        "num_steps": 4,
        "num_targets": 128,
        "dtype": "float32",
    }
    return Request(**{**asked, **more})


def here(memory_bytes=None):
    return Machine(name="here", on_cpu=True, memory_bytes=memory_bytes, runtime_bytes=1000, holes=0.5)


@pytest.mark.parametrize("adapter", METHODS, ids=lambda one: one["method"])
def test_trained_numbers_gradients_and_moments_are_those_of_torch(base, adapter):
    bank = AdapterBank(base)
    handle = bank.fresh(parse_adapter_spec(adapter), seed=0, name="a")
    params = [tensor.requires_grad_() for _, tensor in bank[handle].trained()]
    for one in params:
        one.grad = torch.ones_like(one)
    optimizer = torch.optim.AdamW(params)
    optimizer.step()
    moments = [t for state in optimizer.state.values() for t in state.values() if t.ndim]
    plan = plan_of(request(base, adapter, accumulation=2, batch_size=4), here())
    assert plan.trained == sum(t.numel() for t in params)
    assert plan.memory.gradients == sum(t.grad.nbytes for t in params)
    assert plan.memory.optimizer == sum(t.nbytes for t in moments)
    bank.remove(handle)


def test_a_request_that_does_not_fit_names_the_shortfall_and_settings_that_fit(base):
    asked = request(base, {"method": "lora", "rank": 4})
    needed = plan_of(asked, here()).memory.total
    plan = plan_of(asked, here(needed - 1000))
    assert plan.fits is False
    assert plan.shortfall_bytes == pytest.approx(1000)
    assert plan.alternatives[0].settings == ("training.batch_size=4", "training.accumulation=2")
    assert all(one.total_bytes <= needed - 1000 for one in plan.alternatives)
    assert plan_of(asked, here(needed)).fits
    assert plan_of(asked, here()).fits is None


@given(st.lists(st.integers(2, 40), min_size=1, max_size=12), st.integers(0, 30))
def test_passes_hold_as_many_tokens_as_the_loop_lays(lengths, shared):
    records = [
        Encoded((*range(min(shared, n - 1)), *((100 + i,) * (n - min(shared, n - 1)))), (False,) * (n - 1) + (True,),
                Origin("x", i + 1), 0, 0)
        for i, n in enumerate(lengths)
    ]  # fmt: skip
    laid = laid_out(records, shares=True)
    sample = Sample(
        tuple(lengths), tuple(n - 1 for n in lengths), (1,) * len(lengths), min(shared, *(n - 2 for n in lengths))
        if len(lengths) > 1 else 0,
    )  # fmt: skip
    found = workload_of(
        sample, Steps(batch_size=len(lengths), accumulation=1, number=1), Laying(layout="groups", heads=4)
    )
    assert (found.largest.tokens, found.largest.targets) == (len(laid.tokens_N), len(laid.targets_P))


def test_more_of_anything_never_takes_less(base):
    small = plan_of(request(base, {"method": "lora", "rank": 2}, batch_size=2), here())
    large = plan_of(request(base, {"method": "lora", "rank": 8}, batch_size=8), here())
    again = plan_of(request(base, {"method": "lora", "rank": 8}, batch_size=8, recomputes=True), here())
    assert small.memory.total < large.memory.total
    assert small.trained < large.trained
    assert again.operations.total > large.operations.total


def test_the_least_rank_holds_the_datas_bits_and_one_less_does_not(base):
    places = [p for p in base.facts.places if p.role != "head"]
    a_rank = 2.0 * sum(p.in_features + p.out_features for p in places)
    found = capacity_of(2.5 * a_rank, 10, places, base.facts)
    assert found.rank == 3
    assert found.tiers == (2, 4, 8)
    assert not found.covers
    assert bits_of(0.6931471805599453, 100) == pytest.approx(100)


def test_a_recomputed_layer_keeps_nothing_of_its_mlp(base):
    """What makes an input again must hold none of what it is made from, or checkpointing saves little."""
    import gc

    bank = AdapterBank(base)
    handle = bank.fresh(parse_adapter_spec({"method": "lora", "rank": 2}), seed=0, name="a")
    for _, tensor in bank[handle].trained():
        tensor.requires_grad_()
    checkpoint_activations(bank)
    tokens_BT = torch.arange(1, 38)[None]
    with bank.route([handle], training=True):
        hidden_BTH = base.halves.hidden_BTH(tokens_BT)
        gc.collect()
        inner = [t for t in gc.get_objects() if issubclass(type(t), torch.Tensor) and tuple(t.shape[-2:]) == (37, 48)]
        assert not inner
        hidden_BTH.sum().backward()
    from graftwork.training.memory import keep_activations

    keep_activations(bank)


def test_counting_trained_numbers_needs_no_tensor(base):
    from graftwork.adapters.asked import places_of

    assert num_trained(places_of(parse_adapter_spec({"method": "ia3"}), base.facts)) == 3 * (16 + 16 + 48)
