"""Sums, differences and lower ranks of adapters, against the dense updates that they stand for."""

from dataclasses import replace

import pytest
import torch
from tests.support.methods import evolve, lively, request

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.arithmetic import (
    added,
    difference,
    recompressed,
    scaled,
    summed,
    updates_of,
)
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.core.errors import SpecError

EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(scope="module")
def bank(load):
    return AdapterBank(load("llama"))


@pytest.fixture(scope="module")
def experts(load):
    return AdapterBank(load("mixtral"))


def made(bank, seed, method="lora", **asked):
    return bank[lively(bank, request(method, **asked), seed)]


def dense(adapter):
    """The whole update of each place; a place that is not there has none."""
    return {name: (one.up_OR @ one.down_RI) for name, one in updates_of(adapter).items()}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, update in expected.items():
        torch.testing.assert_close(found[name], update, **EXACT)


@pytest.mark.parametrize("factor", [0.5, -2.0, 0.0, 1.0])
def test_scaling_scales_the_update(bank, factor):
    adapter = made(bank, 1, alpha=6.0, scaling="rank_stabilised")
    same(dense(scaled(adapter, factor)), {name: factor * update for name, update in dense(adapter).items()})


def test_the_update_of_a_lora_is_its_product_times_its_scale(bank):
    adapter = made(bank, 1, rank=3, alpha=6.0)
    for name, here in adapter.placed.items():
        torch.testing.assert_close(dense(adapter)[name], 2.0 * here.params["b_OR"] @ here.params["a_RI"], **EXACT)


def test_a_sum_is_the_weighted_sum_of_the_updates_with_all_their_ranks(bank):
    a, b, c = made(bank, 1, rank=2), made(bank, 2, rank=3, alpha=1.0), made(bank, 3, "pissa", rank=4)
    found, parts = added([(a, 0.5), (b, -1.5), (c, 1.0)]), [dense(one) for one in (a, b, c)]
    same(dense(found), {name: 0.5 * parts[0][name] - 1.5 * parts[1][name] + parts[2][name] for name in parts[0]})
    assert {here.spec.rank for here in found.placed.values()} == {2 + 3 + updates_rank(c)}


def updates_rank(adapter):
    (rank,) = {one.down_RI.shape[0] for one in updates_of(adapter).values()}
    return rank


def test_places_of_one_term_alone_are_kept_as_they_are(bank):
    a, b = made(bank, 1, targets=["attention"]), made(bank, 2, targets=["mlp"])
    same(dense(added([(a, 1.0), (b, 2.0)])), {**dense(a), **{name: 2 * update for name, update in dense(b).items()}})


def test_an_adapter_less_itself_is_nothing(bank):
    adapter = made(bank, 1)
    for update in dense(difference(adapter, adapter)).values():
        assert update.abs().max() < 1e-12


def test_a_sum_answers_as_its_terms_one_on_top_of_the_other(bank, logits, tokens_BT):
    a, b = (lively(bank, request("lora"), seed) for seed in (1, 2))
    total = bank.add(added([(bank[a], 1.0), (bank[b], 1.0)]), name="sum")
    torch.testing.assert_close(
        logits(bank, tokens_BT(), [total] * 2), logits(bank, tokens_BT(), [(a, b)] * 2), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("method", ["adalora", "structured_lora", "delta_lora", "dynamic_lora"])
def test_every_method_with_a_low_rank_update_can_be_added(bank, method, logits, tokens_BT):
    handle = lively(bank, request(method, rank=4), 1)
    twice = bank.add(scaled(scaled(bank[handle], 2.0), 0.5), name="again")
    torch.testing.assert_close(
        logits(bank, tokens_BT(), [twice] * 2), logits(bank, tokens_BT(), [handle] * 2), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("method", ["dora", "ia3", "prefix_tuning", "prompt_tuning", "bottleneck"])
def test_a_method_whose_effect_is_no_such_update_is_refused_by_name(bank, method):
    with pytest.raises(SpecError) as raised:
        scaled(made(bank, 1, method), 2.0)
    assert str(raised.value) == (
        f"adapter.method = {method!r}: expected a method whose effect is a low-rank update. "
        "Merge it into the base instead."
    )


@pytest.mark.parametrize("rank", [1, 2, 5, 8])
def test_a_lower_rank_is_the_nearest_there_is(bank, rank):
    terms = [(made(bank, 1, rank=5), 1.0), (made(bank, 2, rank=3), 0.5)]
    found, kept = recompressed(summed(terms), rank=rank)
    for name, whole in dense(added(terms)).items():
        values = torch.linalg.svdvals(whole)
        near = dense(found)[name]
        assert torch.linalg.matrix_rank(near) <= rank
        lost = (whole - near).norm().item()
        assert lost == pytest.approx(values[rank:].norm().item(), abs=1e-10)
        assert kept[name].lost_norm == pytest.approx(lost, abs=1e-10)
        assert kept[name].norm == pytest.approx(whole.norm().item())
        assert kept[name].energy_frac == pytest.approx((near.norm() / whole.norm()).item() ** 2)
        assert kept[name].rank == found.placed[name].spec.rank == rank


def test_at_full_rank_nothing_is_lost(bank):
    adapter = made(bank, 1, rank=6)
    found, kept = recompressed(updates_of(adapter))
    same(dense(found), dense(adapter))
    assert {one.rank for one in kept.values()} == {6}


@pytest.mark.parametrize("frac", [0.5, 0.9, 0.999])
def test_a_share_of_the_energy_takes_as_few_directions_as_will_do(bank, frac):
    found, kept = recompressed(updates_of(made(bank, 1, rank=6)), energy_frac=frac)
    for name, one in kept.items():
        energy = torch.linalg.svdvals(dense(made(bank, 1, rank=6))[name])[:6].square()
        assert one.energy_frac >= frac - 1e-12
        assert energy[: one.rank - 1].sum() < frac * energy.sum()
        assert found.placed[name].params["a_RI"].shape[0] == one.rank


def test_the_same_adapter_twice_needs_no_more_directions_than_once(bank):
    adapter = made(bank, 1, rank=3)
    found, kept = recompressed(summed([(adapter, 0.5), (adapter, 0.5)]), energy_frac=1.0)
    assert {one.rank for one in kept.values()} == {3}
    same(dense(found), dense(adapter))


def test_more_ranks_than_features_come_down_to_the_features(bank):
    terms = [(made(bank, seed, rank=16), 1.0) for seed in (1, 2, 3)]
    found, kept = recompressed(summed(terms))
    assert max(one.rank for one in kept.values()) <= 48
    same(dense(found), dense(added(terms)))


def test_nothing_is_recompressed_to_nothing(bank):
    found, kept = recompressed(summed([(made(bank, 1), 0.0)]), energy_frac=0.9)
    assert {(one.rank, one.norm, one.lost_norm, one.energy_frac) for one in kept.values()} == {(1, 0.0, 0.0, 1.0)}
    assert not any(update.any() for update in dense(found).values())


def test_experts_are_added_and_recompressed_each_for_itself(experts):
    a, b = (made(experts, seed, targets=["experts"], rank=rank) for seed, rank in ((1, 6), (2, 4)))
    total = {name: dense(a)[name] + 2 * dense(b)[name] for name in dense(a)}
    same(dense(added([(a, 1.0), (b, 2.0)])), total)
    found, kept = recompressed(summed([(a, 1.0), (b, 2.0)]), rank=2)
    for name, whole in total.items():
        values = torch.linalg.svdvals(whole)
        assert kept[name].lost_norm == pytest.approx(values[:, 2:].norm().item(), abs=1e-10)
        assert (whole - dense(found)[name]).norm().item() == pytest.approx(kept[name].lost_norm, abs=1e-10)


def test_a_sum_of_too_many_ranks_is_refused_and_can_still_be_recompressed(bank):
    many = [(made(bank, 1, rank=600, targets=["q_proj"]), 1.0)] * 7
    with pytest.raises(SpecError, match=r"rank = 4200: expected at most 4096\. Ask for a lower rank"):
        added(many)
    assert recompressed(summed(many), rank=4)[0].placed


def test_adapters_of_another_base_are_refused(bank, load):
    adapter = made(bank, 1, targets=["q_proj"])
    other = Adapter(
        spec=None,
        placed={k: replace(h, place=replace(h.place, in_features=99)) for k, h in adapter.placed.items()},
    )
    with pytest.raises(SpecError, match="adapters of one base"):
        added([(adapter, 1.0), (other, 1.0)])


def test_no_terms_are_refused():
    with pytest.raises(SpecError, match="1 to 1000 adapters"):
        added([])


def test_a_sum_is_written_as_lora_with_a_rank_for_each_place_and_comes_back(tmp_path, bank):
    trained = evolve(bank, bank.fresh(request("adalora", init_rank=5, rank=2), seed=1), torch.ones(1, 4).long(), 12)
    found = added([(trained, 1.0), (made(bank, 2, targets=["mlp"]), 0.5)])
    write_adapter(tmp_path / "sum", found, bank.base, {"parents": ["a", "b"]})
    back = read_adapter(tmp_path / "sum", bank.base)
    assert back.adapter.digest() == found.digest() == back.card.digest
    assert back.card.spec is None
    assert len({here.spec.rank for here in back.adapter.placed.values()}) > 1


def test_the_terms_are_not_changed(bank):
    a, b = made(bank, 1), made(bank, 2)
    before = a.digest(), b.digest()
    total = added([(a, 2.0), (b, 1.0)])
    next(iter(total.placed.values())).params["b_OR"].zero_()
    recompressed(summed([(a, 1.0)]), rank=1)
    assert (a.digest(), b.digest()) == before
