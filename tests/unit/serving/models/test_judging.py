"""An adapter passes when it acts as it did; whatever else was loaded is told, and told apart."""

import re
from dataclasses import replace

import pytest
import torch

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.adapters.probing import fingerprint_of, logits_after
from graftwork.base.load import load_base
from graftwork.core.errors import IntegrityError
from graftwork.core.spec import parse, plain
from graftwork.serving.models.judging import judge

DTYPES = ("float32", "bfloat16", "float16", "float64")


@pytest.fixture(scope="module")
def bank_of(load):
    """`bank_of(dtype)`: a bank on the same base in a number format."""
    made = {}

    def bank(dtype="float32"):
        if dtype not in made:
            made[dtype] = AdapterBank(load(dtype=dtype))
        return made[dtype]

    return bank


@pytest.fixture(scope="module")
def trained(bank_of, lively, tmp_path_factory):
    """`trained(dtype)`: one and the same adapter, in the bank of a number format."""
    folder = tmp_path_factory.mktemp("trained") / "adapter"
    write_adapter(folder, bank_of()[lively(bank_of())], bank_of().base, {})
    return lambda dtype="float32": bank_of(dtype).load(folder)


@pytest.fixture(scope="module")
def recorded_in(bank_of, trained):
    """`recorded_in(dtype)`: its fingerprint from a number format."""
    return lambda dtype: fingerprint_of(bank_of(dtype), (trained(dtype),), digest="0" * 64)


def numbers(recorded, bank, row):
    return [logits_after(bank, row, one.tokens)[list(one.ids)].tolist() for one in recorded.asked]


def verdict(recorded, bank, row, dtype="float32", base=None):
    return judge(recorded, numbers(recorded, bank, row), numbers(recorded, base or bank, None), dtype=dtype)


def changed(bank, handle, change):
    """One more adapter, whose places `change(key, placed)` makes."""
    places = {key: change(key, here) for key, here in bank[handle].placed.items()}
    return bank.add(Adapter(spec=None, placed=places), name="changed")


@pytest.mark.parametrize("there", DTYPES)
@pytest.mark.parametrize("here", DTYPES)
def test_the_right_adapter_passes_in_any_number_format(bank_of, trained, recorded_in, here, there):
    said = verdict(recorded_in(there), bank_of(here), trained(here), here)
    assert said.outcome == "proved", said
    assert said.effect > 2 * said.tolerance


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_that_is_not_applied_has_no_effect(bank_of, recorded_in, dtype):
    said = verdict(recorded_in("float32"), bank_of(dtype), None, dtype)
    assert (said.outcome, said.effect) == ("no effect", 0)
    assert "does not act: it moves the base's logits by 0, and by" in said.reason


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_twice_the_strength_is_another_adapter(bank_of, trained, recorded_in, dtype):
    def doubled(_, here):
        return replace(here, spec=parse(type(here.spec), {**plain(here.spec), "alpha": 2 * here.spec.alpha}))

    bank = bank_of(dtype)
    said = verdict(recorded_in("float32"), bank, changed(bank, trained(dtype), doubled), dtype)
    assert said.outcome == "other adapter"


@pytest.mark.parametrize("number", range(0, 21, 4))
def test_one_layer_left_out_is_another_adapter(bank_of, trained, recorded_in, number):
    bank = bank_of()
    handle = trained()
    left_out = list(bank[handle].placed)[number]

    def without(key, here):
        params = {**here.params, "a_RI": torch.zeros_like(here.params["a_RI"])} if key == left_out else here.params
        return replace(here, params=params)

    said = verdict(recorded_in("float32"), bank, changed(bank, handle, without))
    assert said.outcome == "other adapter", (left_out, said)


def test_another_adapter_s_weights_are_told(bank_of, lively, recorded_in):
    said = verdict(recorded_in("float32"), bank_of(), lively(bank_of(), seed=9))
    assert said.outcome == "other adapter"
    assert re.search(r"acts otherwise than when it was trained: its logits are [\d.]+ apart", said.reason)


def test_another_base_is_told_before_anything_else(bank_of, lively, recorded_in, folder_of):
    other = AdapterBank(load_base(str(folder_of(seed=5)), dtype="float32"))
    for row in (None, lively(other)):
        said = verdict(recorded_in("float32"), other, row)
        assert said.outcome == "other base"
        assert said.tolerance > said.noise  # judged by its tolerance it might have passed
    assert "Serve the base that it was trained on" in said.reason


def test_a_base_in_four_bits_is_another_one(bank_of, lively, recorded_in, folder_of):
    other = AdapterBank(load_base(str(folder_of()), dtype="float32", quantised="int4"))
    assert verdict(recorded_in("float32"), other, lively(other)).outcome == "other base"


def test_an_untrained_adapter_is_refused(bank_of, lora):
    bank = bank_of()
    handle = bank.fresh(lora(), seed=1)
    said = verdict(fingerprint_of(bank, (handle,), digest="0" * 64), bank, handle)
    assert (said.outcome, said.recorded_effect) == ("untrained", 0)
    assert said.reason.startswith("it moves its base's logits by 0, and less than")


def test_an_effect_that_rounding_hides_is_not_taken_for_one(bank_of, trained):
    def faint(_, here):
        return replace(here, params={**here.params, "b_OR": here.params["b_OR"] * 3e-5})

    faintly = {dtype: changed(bank_of(dtype), trained(dtype), faint) for dtype in ("float32", "bfloat16")}
    recorded = fingerprint_of(bank_of(), (faintly["float32"],), digest="0" * 64)
    assert verdict(recorded, bank_of("bfloat16"), faintly["bfloat16"], "bfloat16").outcome == "untrained"


def test_one_on_top_of_another_is_held_against_both(bank_of, lively):
    bank = bank_of()
    lower, upper = lively(bank, seed=1), lively(bank, seed=2)
    recorded = fingerprint_of(bank, (lower, upper), digest="0" * 64)
    assert verdict(recorded, bank, (lower, upper)).outcome == "proved"
    assert [verdict(recorded, bank, row).outcome for row in (lower, upper, (upper, lower), None)] == [
        "other adapter",
        "other adapter",
        "proved",  # two that add to the same layers come to the same either way round
        "other adapter",
    ]


def test_other_shapes_and_no_numbers_are_refused(bank_of, recorded_in):
    recorded = recorded_in("float32")
    right = numbers(recorded, bank_of(), None)
    for wrong in ([*right, right[0]], [right[0][:-1], *right[1:]], [[float("nan")] * 16, *right[1:]]):
        with pytest.raises(IntegrityError):
            judge(recorded, wrong, right, dtype="float32")
        with pytest.raises(IntegrityError):
            judge(recorded, right, wrong, dtype="float32")
