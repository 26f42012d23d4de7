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


def relative_verdict(recorded, bank, row, dtype="float32"):
    """From log-probabilities alone."""
    adapter_PK, base_PK = (
        [logits_after(bank, who, one.tokens).log_softmax(0)[list(one.ids)].tolist() for one in recorded.asked]
        for who in (row, None)
    )
    return judge(recorded, adapter_PK, base_PK, dtype=dtype, is_relative=True)


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


@pytest.mark.parametrize("there", DTYPES)
@pytest.mark.parametrize("here", DTYPES)
def test_the_right_adapter_passes_by_its_log_probabilities(bank_of, trained, recorded_in, here, there):
    said = relative_verdict(recorded_in(there), bank_of(here), trained(here), here)
    assert said.outcome == "proved", said
    assert said.effect > 2 * said.tolerance


def test_a_constant_a_prompt_is_no_distance_where_logits_are_relative(bank_of, trained, recorded_in):
    recorded = recorded_in("float32")
    whole = verdict(recorded, bank_of(), trained())
    relative = relative_verdict(recorded, bank_of(), trained())
    assert relative.distance < 1e-4
    assert 0 < relative.effect <= whole.effect
    adapter_PK, base_PK = numbers(recorded, bank_of(), trained()), numbers(recorded, bank_of(), None)
    moved_PK = [[logit + 5 + number for logit in row] for number, row in enumerate(adapter_PK)]
    assert judge(recorded, moved_PK, base_PK, dtype="float32", is_relative=True).outcome == "proved"
    assert judge(recorded, moved_PK, base_PK, dtype="float32").outcome == "other adapter"


def test_log_probabilities_tell_another_adapter_and_another_base(bank_of, trained, lively, recorded_in):
    recorded = recorded_in("float32")
    assert relative_verdict(recorded, bank_of(), None).outcome == "no effect"
    other = lively(bank_of(), seed=7)
    assert relative_verdict(recorded, bank_of(), other).outcome == "other adapter"
    bank_of().remove(other)
    adapter_PK = numbers(recorded, bank_of(), trained())
    assert judge(recorded, adapter_PK, adapter_PK, dtype="float32", is_relative=True).outcome == "other base"


def test_one_token_on_record_proves_nothing_where_logits_are_relative(bank_of, trained, recorded_in):
    recorded = recorded_in("float32")
    short = [
        parse(type(one), {**plain(one), **{key: [plain(one)[key][0]] for key in ("ids", "adapter", "base")}})
        for one in recorded.asked
    ]
    only = parse(type(recorded), {**plain(recorded), "asked": [plain(one) for one in short]})
    assert verdict(only, bank_of(), trained()).outcome == "proved"
    assert relative_verdict(only, bank_of(), trained()).outcome == "untrained"


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


@pytest.mark.parametrize(("grains", "outcome"), [(3.5, "proved"), (12.0, "other adapter")])
def test_an_adapter_may_be_as_far_from_its_record_as_its_base_may(bank_of, trained, recorded_in, grains, outcome):
    recorded, bank = recorded_in("bfloat16"), bank_of("bfloat16")
    adapter_PK, base_PK = (numbers(recorded, bank, who) for who in (trained("bfloat16"), None))
    grain = 2.0**-7 * max(abs(logit) for one in recorded.asked for logit in (*one.adapter, *one.base))
    adapter_PK[0][0] += grains * grain + 16 * 2.0**-7 * recorded.effect * (outcome != "proved")
    found = judge(recorded, adapter_PK, base_PK, dtype="bfloat16")
    assert found.noise < grain
    assert found.outcome == outcome
