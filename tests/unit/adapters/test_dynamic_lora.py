"""Dynamic LoRA: rank goes where it matters, all of it is dealt out, and what is left is a plain LoRA."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from tests.support.methods import evolve, request
from transformers import AutoModelForCausalLM

from graftwork.adapters.asked import places_of
from graftwork.adapters.evolution import Moment
from graftwork.adapters.files import exchangeable, read_adapter, write_adapter
from graftwork.adapters.methods.dynamic_lora import allocated, begin, finish, step
from graftwork.core.errors import SpecError

USUAL = {"rank": 3, "cap": 6}
WEIGHTS = st.just(0.0) | st.floats(1e-290, 1e6)
"""Times a power of two exactly, which numbers next to zero are not."""
IMPORTANCE = st.lists(WEIGHTS, min_size=1, max_size=30)


@st.composite
def dealings(draw):
    importance = draw(IMPORTANCE)
    low = draw(st.integers(0, 8))
    high = draw(st.integers(max(low, 1), 20))
    total = draw(st.integers(low * len(importance), high * len(importance)))
    return importance, total, low, high


@given(dealings())
def test_all_is_dealt_out_within_bounds_and_more_important_never_gets_less(dealing):
    importance, total, low, high = dealing
    ranks = allocated(importance, total, low, high)
    assert sum(ranks) == total
    assert all(low <= rank <= high for rank in ranks)
    in_order = sorted(zip(importance, ranks, strict=True))
    for (one, fewer), (other, more) in pairwise(in_order):
        assert fewer <= more or one == other


@given(dealings())
def test_no_place_is_a_whole_direction_away_from_its_proportion(dealing):
    importance, total, low, high = dealing
    ranks = allocated(importance, total, low, high)
    free = [(w, r) for w, r in zip(importance, ranks, strict=True) if low + 1 < r < high - 1 and w > 1e-3]
    for w, r in free:  # of two places that no bound holds, neither is owed a direction of the other's
        for v, q in free:
            assert (r - 1) / w < (q + 1) / v * (1 + 1e-9)


@given(dealings(), st.integers(-40, 40))
def test_only_proportions_matter(dealing, power):
    importance, total, low, high = dealing
    assert allocated([w * 2.0**power for w in importance], total, low, high) == allocated(importance, total, low, high)


@pytest.mark.parametrize(
    ("importance", "total", "low", "high", "expected"),
    [
        ([1, 1, 1], 10, 1, 16, [4, 3, 3]),
        ([0, 0, 1], 9, 1, 4, [3, 2, 4]),
        ([0, 0, 0], 9, 1, 4, [3, 3, 3]),
        ([1, 100, 10000], 12, 0, 8, [0, 4, 8]),
        ([1, 1000], 8, 2, 8, [2, 6]),
        ([3], 5, 0, 8, [5]),
        ([1, 2], 16, 0, 8, [8, 8]),
        ([1, 2], 0, 0, 8, [0, 0]),
    ],
)
def test_rank_is_dealt_out_by_largest_remainder(importance, total, low, high, expected):
    assert allocated(importance, total, low, high) == expected


def test_a_thousand_places_are_dealt_to_at_once():
    importance = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    assert sum(allocated(importance, 16000, 1, 32)) == 16000


@pytest.fixture
def adapter(bank):
    adapter = bank[bank.fresh(request("dynamic_lora", **USUAL), seed=1)]
    for name, tensor in adapter.tensors():
        if name.endswith("b_OR"):
            tensor.normal_(generator=torch.Generator().manual_seed(5))
    return adapter


def gradients(placed, loud, strength=50.0):
    """Of one everywhere, and larger in the layers that `loud` names."""
    return {
        key: {n: torch.full_like(h.params[n], strength if loud in key else 1.0) for n in ("a_RI", "b_OR")}
        for key, h in placed.items()
    }


def dealt(adapter, loud="layers.1", **more):
    state = begin(adapter.spec, adapter.placed)
    told = gradients(adapter.placed, loud)
    for at in range(1, 5):
        step(adapter.spec, adapter.placed, told, state, Moment(step=at, num_steps=12))
    return finish(adapter.spec, adapter.placed)


def test_a_layer_that_matters_gets_more_and_the_budget_is_spent(adapter):
    ranks = {key: here.spec.rank for key, here in dealt(adapter).items()}
    assert sum(ranks.values()) == 3 * 21
    assert {rank for key, rank in ranks.items() if "layers.1" in key} == {6}
    assert max(rank for key, rank in ranks.items() if "layers.1" not in key) <= 3


def test_the_strongest_directions_of_a_place_are_kept_in_their_order(adapter):
    before = {
        key: (here.params["a_RI"].norm(dim=1) * here.params["b_OR"].norm(dim=0), here.params["a_RI"].clone())
        for key, here in adapter.placed.items()
    }
    for key, here in dealt(adapter).items():
        size_R, a_RI = before[key]
        strongest = size_R.argsort(descending=True)[: here.spec.rank].sort().values
        assert torch.equal(here.params["a_RI"], a_RI[strongest])


def test_importance_is_told_per_number_so_that_wide_layers_are_not_favoured(adapter):
    state = begin(adapter.spec, adapter.placed)
    for here in adapter.placed.values():
        here.params["a_RI"].fill_(1)
        here.params["b_OR"].fill_(1)
    step(adapter.spec, adapter.placed, gradients(adapter.placed, "none"), state, Moment(step=1, num_steps=100))
    assert [value.item() for value in state.values()] == pytest.approx([0.15] * 21)
    step(adapter.spec, adapter.placed, gradients(adapter.placed, "layers", 3.0), state, Moment(step=2, num_steps=100))
    assert [value.item() for value in state.values()] == pytest.approx([0.85 * 0.15 + 0.15 * 3] * 21)


def test_rank_is_dealt_out_once(adapter):
    dealt(adapter)
    first = {key: here.params["kept_R"].clone() for key, here in adapter.placed.items()}
    state = begin(adapter.spec, adapter.placed)
    step(adapter.spec, adapter.placed, gradients(adapter.placed, "layers.0"), state, Moment(step=5, num_steps=12))
    assert all(torch.equal(first[key], here.params["kept_R"]) for key, here in adapter.placed.items())


@pytest.mark.parametrize("scaling", ["classic", "rank_stabilised"])
def test_what_is_left_is_a_plain_lora_that_peft_reads(bank, tokens_BT, logits, tmp_path, scaling):
    kept = evolve(bank, bank.fresh(request("dynamic_lora", **USUAL, scaling=scaling), seed=1), tokens_BT(), 12)
    assert len({here.spec.rank for here in kept.placed.values()}) > 1
    write_adapter(tmp_path / "saved", kept, bank.base, {})
    loaded = read_adapter(tmp_path / "saved", bank.base).adapter
    assert {here.method.name for here in loaded.placed.values()} == {"lora"}
    assert loaded.digest() == exchangeable(kept).digest()
    assert {k: h.spec.rank for k, h in loaded.placed.items()} == {k: h.spec.rank for k, h in kept.placed.items()}
    bare = AutoModelForCausalLM.from_pretrained(bank.base.folder, dtype=torch.float64)
    theirs = PeftModel.from_pretrained(bare, tmp_path / "saved").eval()
    with torch.no_grad():
        found = theirs(input_ids=tokens_BT()).logits
    expected = logits(bank, tokens_BT(), [bank.add(kept, name="kept")] * 2)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_strength_is_that_of_the_rank_asked_for_whatever_is_dealt_out(bank, adapter):
    before = {here.form(bank.frozen(here.place)).scale for here in adapter.placed.values()}
    after = {here.form(bank.frozen(here.place)).scale for here in dealt(adapter).values()}
    assert before == {32 / 3}
    assert all(scale == pytest.approx(32 / 3, rel=1e-15) for scale in after)


def test_a_place_may_be_given_up_when_that_is_allowed(bank, adapter):
    spec = request("dynamic_lora", **USUAL, min_rank=0)
    state = begin(spec, adapter.placed)
    told = gradients(adapter.placed, "mlp", 1e6)
    for at in range(1, 5):
        step(spec, adapter.placed, told, state, Moment(step=at, num_steps=12))
    kept = finish(spec, adapter.placed)
    assert 0 < len(kept) < 21
    assert sum(here.spec.rank for here in kept.values()) == 3 * 21


def test_a_plan_sums_to_the_budget(bank, tokens_BT):
    spec = request("dynamic_lora", cap=6, rank={"kind": "tiered", "bottom": 1, "middle": 2, "top": 4})
    kept = evolve(bank, bank.fresh(spec, seed=1), tokens_BT(), 12)
    assert sum(here.spec.rank for here in kept.placed.values()) == 7 * (1 + 2 + 4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cap": 2}, "cap = 2: expected at least rank = 3"),
        ({"min_rank": 4}, "min_rank = 4: expected at most rank = 3"),
    ],
)
def test_bounds_that_the_rank_does_not_fit_are_refused(asked, said):
    with pytest.raises(SpecError) as raised:
        request("dynamic_lora", **{**USUAL, **asked})
    assert str(raised.value) == said


def test_a_plan_beyond_the_bounds_is_refused_before_a_tensor_is_made(bank):
    plan = {"kind": "tiered", "bottom": 1, "middle": 2, "top": 7}
    with pytest.raises(SpecError, match=r"adapter\.cap = 6: expected at least rank = 7"):
        places_of(request("dynamic_lora", cap=6, rank=plan), bank.base.facts)
