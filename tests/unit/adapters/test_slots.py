"""Factors in slots: compiled loops and products say the same, whatever the rank and however many tokens a piece has."""

import pytest
import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.slots import BLOCK, Piece, Slots, SlotTable
from graftwork.adapters.wanted import parse_adapter_spec

PIECES = (1, 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 3, 1)
SPECS = [
    *({"method": "lora", "rank": rank} for rank in (1, 2, 3, 7, 8)),
    {"method": "ia3"},
    {"method": "dora", "rank": 5},
]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def bank(request, load):
    pytest.importorskip("numba")
    return AdapterBank(load(dtype=request.param))


@pytest.fixture(scope="module")
def slots(bank):
    """A slot for each of SPECS, in this order, all of which do something."""
    made, draw = Slots(bank), torch.Generator().manual_seed(3)
    for number, spec in enumerate(SPECS):
        adapter = bank[bank.fresh(parse_adapter_spec(spec), seed=number)]
        for _, tensor in adapter.trained():
            tensor.data.add_(torch.randn(tensor.shape, generator=draw) * 0.2)
        assert made.hold((adapter,)) == number
    assert made.is_compiled
    return made


def placed(lengths):
    """Pieces one after another, each of the next slot."""
    start, found = 0, []
    for number, length in enumerate(lengths):
        found.append(Piece(start=start, end=start + length, slot=number % len(SPECS)))
        start += length
    return found


@torch.no_grad()
def answered(slots, place, pieces, x_NI, y_NO, *, is_compiled=True):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "is_compiled", is_compiled)
        return SlotTable(slots, pieces).answer(place, x_NI, y_NO.clone())


def drawn(bank, place, num):
    module, draw = bank.module(place), torch.Generator().manual_seed(num)
    x_NI = torch.randn(num, module.in_features, generator=draw).to(module.weight.dtype)
    with torch.no_grad():
        return x_NI, torch.nn.functional.linear(x_NI, module.weight, module.bias)


def places_of(slots):
    return [name for name, held in slots._at.items() if held]


def test_loops_say_what_products_say(bank, slots):
    pieces = placed(PIECES)
    for place in places_of(slots):
        x_NI, y_NO = drawn(bank, place, sum(PIECES))
        loops, products = (answered(slots, place, pieces, x_NI, y_NO, is_compiled=way) for way in (True, False))
        most = products.abs().max().item()
        assert (loops - products).abs().max().item() <= most * (1e-5 if x_NI.dtype == torch.float32 else 0.02)
        assert (loops - y_NO).abs().max() > 0.02 * most, "they do something"


def test_a_piece_has_the_same_bits_wherever_it_lies(bank, slots):
    place = places_of(slots)[0]
    x_NI, y_NO = drawn(bank, place, sum(PIECES))
    whole = answered(slots, place, placed(PIECES), x_NI, y_NO)
    for one in placed(PIECES):
        rows = slice(one.start, one.end)
        alone = Piece(start=0, end=one.end - one.start, slot=one.slot)
        assert torch.equal(answered(slots, place, [alone], x_NI[rows], y_NO[rows]), whole[rows])
