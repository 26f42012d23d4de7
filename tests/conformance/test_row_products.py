"""Every way to make the products of many adapters: right for any ranks, and no row knows of another."""

import pytest
import torch

from graftwork.adapters.grouped import Side
from graftwork.adapters.row_products import FASTEST, WAYS, Work

CPU = torch.device("cpu")
TYPES = {torch.float32: 1e-6, torch.bfloat16: 1.2e-2, torch.float64: 1e-13}
CASES = [(way, dtype) for way in WAYS for dtype in TYPES if WAYS[way].takes(CPU, dtype)]
RANKS = {"q": (3, 1, 64, 0), "k": (0, 0, 5, 2), "v": (8, 8, 8, 8)}
OWNERS = (2, 0, None, 3, 3, 1)
"""Whose each unit is."""
WIDTHS = {"q": 48, "k": 17, "v": 1}


def layers(dtype, features=37):
    """Factors of four adapters at three layers, and what is whose."""
    draw = torch.Generator().manual_seed(0)
    sides = {}
    for name, ranks in RANKS.items():
        ends = torch.tensor(ranks).cumsum(0).tolist()
        own = [(0, 0) if owner is None else (ends[owner] - ranks[owner], ends[owner]) for owner in OWNERS]
        sides[name] = Side(
            down_SI=torch.randn(ends[-1], features, generator=draw, dtype=torch.float64).to(dtype),
            up_SO=torch.randn(ends[-1], WIDTHS[name], generator=draw, dtype=torch.float64).to(dtype),
            own_U2=torch.tensor(own),
            gained_G=None,
            gain_GO=None,
            shift_GO=None,
        )
    return sides


def given(dtype, num_tokens, features=37):
    """Inputs, and what the frozen layers gave."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(num_tokens, features, generator=draw, dtype=torch.float64).to(dtype)
    base = {
        n: torch.randn(num_tokens, width, generator=draw, dtype=torch.float64).to(dtype) for n, width in WIDTHS.items()
    }
    return x, base


def made(way, sides, x, base):
    rows = WAYS[way].rows(sides, x.shape[0])
    z_NZ = rows.first(x)
    return {name: rows.seconds[name](base[name], z_NZ) for name in sides}


@pytest.mark.parametrize("per_unit", [1, 3])
@pytest.mark.parametrize(("way", "dtype"), CASES)
def test_each_token_meets_its_own_factors(way, dtype, per_unit):
    sides = layers(dtype)
    x, base = given(dtype, len(OWNERS) * per_unit)
    before = {name: tensor.clone() for name, tensor in base.items()}
    found = made(way, sides, x, base)
    for name, side in sides.items():
        for n, (start, end) in enumerate(side.own_N2(x.shape[0]).tolist()):
            down_RI, up_RO = side.down_SI[start:end].double(), side.up_SO[start:end].double()
            expected_O = before[name][n].double() + (x[n].double() @ down_RI.T) @ up_RO
            scale = (x[n].double().abs() @ down_RI.T.abs()) @ up_RO.abs()
            error = (found[name][n].double() - expected_O).abs()
            assert (error <= TYPES[dtype] * (before[name][n].double().abs() + scale)).all()
        assert torch.equal(base[name], before[name]), "what the frozen layer gave is not ours to change"
        assert torch.equal(found[name][2 * per_unit : 3 * per_unit], before[name][2 * per_unit : 3 * per_unit])


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("way", "dtype"), CASES)
def test_what_is_no_number_stays_in_its_row(way, dtype, broken):
    sides = layers(dtype)
    x, base = given(dtype, len(OWNERS))
    expected = made(way, sides, x, base)
    x[1, 5] = broken
    base["v"][1] = broken
    found = made(way, sides, x, base)
    others = [0, 2, 3, 4, 5]
    for name in sides:
        assert torch.equal(found[name][others], expected[name][others])
    assert not found["q"][1].isfinite().any()
    assert not found["v"][1].isfinite().any()


@pytest.mark.parametrize(("way", "dtype"), [case for case in CASES if case[0] == "compiled"])
def test_compiled_rows_do_not_depend_on_their_batch(way, dtype):
    sides = layers(dtype)
    x, base = given(dtype, len(OWNERS))
    threads = torch.get_num_threads()
    together = made(way, sides, x, base)
    assert torch.get_num_threads() == threads, "how many threads torch has is not ours to change"
    for n in range(len(OWNERS)):
        alone = {
            name: Side(
                down_SI=one.down_SI,
                up_SO=one.up_SO,
                own_U2=one.own_U2[n, None],
                gained_G=None,
                gain_GO=None,
                shift_GO=None,
            )
            for name, one in sides.items()
        }
        found = made(way, alone, x[n, None], {name: tensor[n, None] for name, tensor in base.items()})
        for name in sides:
            assert torch.equal(found[name][0], together[name][n])


@pytest.mark.parametrize(("way", "dtype"), CASES)
def test_inputs_with_gaps_between_their_rows_are_read_right(way, dtype):
    sides = layers(dtype)
    x, base = given(dtype, len(OWNERS))
    wide = torch.stack([x, x + 1], dim=-1)[..., 0]
    spread = {name: torch.stack([tensor, tensor + 1], dim=-1)[..., 0] for name, tensor in base.items()}
    found, expected = made(way, sides, wide, spread), made(way, sides, x, base)
    assert all(torch.equal(found[name], expected[name]) for name in sides)


def test_bfloat16_is_rounded_to_the_nearest_ties_to_even():
    if not WAYS["compiled"].takes(CPU, torch.bfloat16):
        pytest.skip("without numba")
    exact = torch.tensor([1.0, 1.00390625, 1.01171875, 1.005859375, -1.00390625, 3.3895e38, 1e-40, 0.0])
    one = Side(
        down_SI=torch.ones(1, 1, dtype=torch.bfloat16),
        up_SO=torch.ones(1, len(exact), dtype=torch.bfloat16),
        own_U2=torch.tensor([[0, 1]]),
        gained_G=None,
        gain_GO=None,
        shift_GO=None,
    )
    for number in exact:
        upper = number.to(torch.bfloat16)
        rest = (number - upper.float()).to(torch.bfloat16)
        found = made("compiled", {"v": one}, rest.view(1, 1), {"v": upper.expand(1, len(exact)).contiguous()})["v"]
        assert (found == (upper.float() + rest.float()).to(torch.bfloat16)).all(), number


def test_all_ways_are_asked():
    assert sorted(FASTEST) == list(WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_long_pieces_are_answered_one_by_one(way):
    assert WAYS[way].pays(Work(16, 16, 128, 16 * 8, 1152))
    assert not WAYS[way].pays(Work(16, 16 * 512, 128, 16 * 512 * 8, 1152))
