"""AdaLoRA: the budget falls as it should, is met exactly, and what is cut away was nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.methods import evolve, leaves, request

from graftwork.adapters.asked import places_of
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.evolution import Moment
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.methods.adalora import AdaLoraSpec, act, begin, budget_at, check, finish, penalty, step
from graftwork.core.errors import SpecError
from graftwork.core.spec import parse

USUAL = {"rank": 3, "init_rank": 6}


def trained(bank, tokens, num_steps=12, **asked):
    return evolve(bank, bank.fresh(request("adalora", **{**USUAL, **asked}), seed=1), tokens, num_steps=num_steps)


def active(placed):
    return sum(int((here.params["e_R"] != 0).sum()) for here in placed.values())


@pytest.fixture
def adapter(bank):
    return bank[bank.fresh(request("adalora", **USUAL), seed=1)]


def ones_like(placed):
    return {k: {n: torch.ones_like(h.params[n]) for n in ("a_RI", "e_R", "b_OR")} for k, h in placed.items()}


@given(
    st.integers(2, 300),
    st.floats(0, 0.9),
    st.floats(0, 0.9),
    st.integers(1, 9),
    st.integers(0, 500),
    st.integers(1, 300),
)
def test_the_budget_never_rises_and_ends_at_what_was_asked(num_steps, warmup, final, every, more, end):
    if warmup + final >= 1:
        return
    spec = AdaLoraSpec(warmup_frac=warmup, final_frac=final, every=every)
    if check(spec, num_steps):
        return
    found = [budget_at(spec, Moment(step=s, num_steps=num_steps), end + more, end) for s in range(1, num_steps + 1)]
    told = [budget for budget in found if budget is not None]
    assert told == sorted(told, reverse=True)
    assert told[-1] == end
    assert max(told) <= end + more


def test_the_budget_falls_as_a_cube(adapter):
    spec = AdaLoraSpec(warmup_frac=0.1, final_frac=0.3)
    for at in range(11, 70):
        left = (70 - at) / 60
        assert budget_at(spec, Moment(step=at, num_steps=100), 120, 80) == pytest.approx(80 + 40 * left**3, abs=1)
    assert [budget_at(spec, Moment(step=at, num_steps=100), 120, 80) for at in (1, 10, 70, 71)] == [
        None,
        None,
        80,
        None,
    ]


@pytest.mark.parametrize("rank", [1, 3, 5, 6, {"kind": "tiered", "bottom": 1, "middle": 2, "top": 4}])
def test_the_budget_is_met_exactly_and_told_by_the_rank_table(bank, tokens_BT, rank):
    asked = places_of(request("adalora", **{**USUAL, "rank": rank}), bank.base.facts)
    kept = trained(bank, tokens_BT(), rank=rank).placed
    assert sum(here.spec.rank for here in kept.values()) == sum(here.spec.rank for here in asked.values())
    assert {key: here.params["e_R"].numel() for key, here in kept.items()} == {k: h.spec.rank for k, h in kept.items()}


def test_ties_are_cut_to_the_budget_too(adapter):
    state = begin(adapter.spec, adapter.placed)  # nothing was learned: all are as important as each other
    for _, tensor in adapter.tensors():
        tensor.fill_(1)
    step(adapter.spec, adapter.placed, ones_like(adapter.placed), state, Moment(step=8, num_steps=12))
    assert active(adapter.placed) == 3 * 21
    kept = finish(adapter.spec, adapter.placed)
    assert [here.spec.rank for here in kept.values()] == [6] * 10 + [3]
    assert list(kept) == list(adapter.placed)[:11]


def test_a_place_that_keeps_nothing_is_gone_and_comes_back_gone(bank, adapter, tmp_path):
    places = list(adapter.placed)
    for number, key in enumerate(places):
        adapter.placed[key].params["kept_R"].copy_(torch.tensor([1.0 if number else 0.0] * 6))
    kept = type(adapter)(spec=adapter.spec, placed=finish(adapter.spec, adapter.placed))
    assert list(kept.placed) == places[1:]
    write_adapter(tmp_path / "saved", kept, bank.base, {})
    loaded = read_adapter(tmp_path / "saved", bank.base).adapter
    assert list(loaded.placed) == places[1:]


def test_the_rank_table_comes_back_from_a_file(bank, tokens_BT, tmp_path):
    kept = trained(bank, tokens_BT())
    ranks = {key: here.spec.rank for key, here in kept.placed.items()}
    assert len(set(ranks.values())) > 1
    write_adapter(tmp_path / "saved", kept, bank.base, {})
    loaded = read_adapter(tmp_path / "saved", bank.base).adapter
    assert {key: here.spec.rank for key, here in loaded.placed.items()} == ranks


def test_cutting_changes_nothing_that_is_computed(bank, tokens_BT):
    handle = bank.fresh(request("adalora", **USUAL), seed=1)
    kept = evolve(bank, handle, tokens_BT(), num_steps=12)
    for key, before in bank[handle].placed.items():
        whole = act(before.spec, before.params, bank.frozen(before.place), before.memo)
        product = whole.scale * whole.up_OR @ whole.down_RI
        if key in kept.placed:
            after = kept.placed[key].form(bank.frozen(before.place))
            assert after.scale == whole.scale == 32 / 6
            torch.testing.assert_close(after.scale * after.up_OR @ after.down_RI, product, rtol=1e-12, atol=1e-14)
        else:
            assert not product.any()


def test_what_was_cut_can_grow_back_until_the_choice_is_final(bank, tokens_BT):
    def ended(final_frac):
        handle = bank.fresh(request("adalora", **USUAL, every=6, final_frac=final_frac), seed=1)
        evolve(bank, handle, tokens_BT(), num_steps=7, of=12)
        return active(bank[handle].placed)

    assert ended(0.5) == 3 * 21  # final after step 6: held at step 7
    assert ended(0.1) == 6 * 21  # cut after step 6, grown back by step 7


def test_importance_is_smoothed_sensitivity_times_smoothed_uncertainty(adapter):
    spec, key = parse(AdaLoraSpec, {**USUAL, "beta1": 0.5, "beta2": 0.25}), next(iter(adapter.placed))
    state = begin(spec, adapter.placed)
    for grad, (mean, spread) in ((1.0, (1.0, 0.75)), (3.0, (3.5, 0.1875 + 0.75 * 2.5))):
        for here in adapter.placed.values():
            here.params["e_R"].fill_(2)
        grads = {k: {n: grad * g for n, g in told.items()} for k, told in ones_like(adapter.placed).items()}
        step(spec, adapter.placed, grads, state, Moment(step=1, num_steps=100))
        assert state[f"{key}/e_R/sensitivity"].tolist() == [mean] * 6
        assert state[f"{key}/e_R/uncertainty"].tolist() == [spread] * 6


def test_the_least_important_directions_go_wherever_they_are(adapter):
    state = begin(adapter.spec, adapter.placed)
    draw = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        tensor.copy_(torch.rand(tensor.shape, generator=draw, dtype=tensor.dtype) * (1 + 9 * ("layers.2" in name)))
    for here in adapter.placed.values():
        here.params["e_R"].fill_(1)
    scores = {
        key: sum(
            (state[f"{key}/{n}/sensitivity"] * state[f"{key}/{n}/uncertainty"]).mean(dim) if dim is not None
            else state[f"{key}/{n}/sensitivity"] * state[f"{key}/{n}/uncertainty"]
            for n, dim in (("e_R", None), ("a_RI", 1), ("b_OR", 0))
        )
        for key in adapter.placed
    }  # fmt: skip
    step(adapter.spec, adapter.placed, {k: {} for k in scores}, state, Moment(step=8, num_steps=12))
    threshold = torch.cat([*scores.values()]).sort(descending=True).values[3 * 21 - 1]
    for key, here in adapter.placed.items():
        assert torch.equal(here.params["e_R"] != 0, scores[key] >= threshold)


def test_the_penalty_is_nothing_for_orthonormal_directions_alone():
    eye = torch.eye(4, dtype=torch.float64)
    spec = AdaLoraSpec(orth_weight=0.5)
    assert penalty(spec, {"a_RI": eye[:3], "b_OR": eye[:, :3]}).item() == 0
    assert penalty(spec, {"a_RI": 2 * eye[:1], "b_OR": eye[:, :1]}).item() == pytest.approx(0.5 * 3 / 2)
    assert penalty(spec, {"a_RI": eye[:1], "b_OR": 2 * eye[:, :1]}).item() == pytest.approx(0.5 * 3 / 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"init_rank": 2}, "init_rank = 2: expected at least rank = 3. The budget falls from init_rank to rank."),
        (
            {"warmup_frac": 0.5, "final_frac": 0.5},
            "final_frac = 0.5: expected less than 1 - warmup_frac = 0.5. No step is left for the budget to fall.",
        ),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(asked, said):
    with pytest.raises(SpecError) as raised:
        request("adalora", **{**USUAL, **asked})
    assert str(raised.value) == said


def test_a_plan_above_the_start_is_refused_before_a_tensor_is_made(bank):
    plan = {"kind": "tiered", "bottom": 1, "middle": 2, "top": 7}
    with pytest.raises(SpecError, match=r"adapter\.init_rank = 6: expected at least rank = 7"):
        places_of(request("adalora", **{**USUAL, "rank": plan}), bank.base.facts)


def test_directions_that_are_not_left_get_no_gradient(bank, tokens_BT, load):
    bank = AdapterBank(load("gpt2"))
    handle = bank.fresh(request("adalora", **USUAL, orth_weight=0.0), seed=1)
    evolve(bank, handle, tokens_BT(), num_steps=12)
    params = leaves(bank, handle)
    with bank.route([handle] * 2):
        bank.base.model(input_ids=tokens_BT()).logits.square().mean().backward()
    for key, here in bank[handle].placed.items():
        gone = here.params["kept_R"] == 0
        assert not params[f"{key}/a_RI"].grad[gone].any()
        assert not params[f"{key}/b_OR"].grad[:, gone].any()
