"""Counts of what became of every row: they add up."""

import dataclasses
import itertools
from collections import Counter
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.data.tally import SHOWN, STEPS, Tally, flow

KEYS = st.tuples(st.sampled_from(STEPS), st.sampled_from(["empty", "too long", "other"]))
NUMBERS = st.integers(0, 9)
NAMES = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)).map(Counter)
KEYED = st.dictionaries(KEYS, st.integers(1, 9), max_size=4).map(Counter)
SAID = st.dictionaries(KEYS, st.lists(st.fixed_dictionaries({"text": st.text(max_size=3)}), max_size=SHOWN), max_size=4)
TALLIES = st.builds(Tally, NUMBERS, NAMES, NAMES, KEYED, KEYED, NAMES, NUMBERS, NAMES, SAID, NUMBERS, NUMBERS, NUMBERS)


def test_every_number_of_a_tally_is_added_up():
    keyed, named = Counter({("read", "x"): 1}), Counter(a=1)
    one = Tally(1, named, named, keyed, keyed, named, 1, named, {}, 1, 1, 1)
    whole = Tally()
    whole.add(one)
    whole.add(one)
    for field in dataclasses.fields(Tally):
        value = getattr(whole, field.name)
        assert field.name == "examples" or value == 2 or set(value.values()) == {2}


@settings(deadline=None, max_examples=40)
@given(st.lists(TALLIES, max_size=4))
def test_every_count_of_the_whole_is_the_sum_of_its_parts(parts):
    whole = Tally()
    for part in parts:
        whole.add(part)
    for field in dataclasses.fields(Tally):
        values = [getattr(part, field.name) for part in parts]
        if field.name == "examples":
            every = {key: [one for value in values for one in value.get(key, [])] for value in values for key in value}
            assert {key: shown for key, shown in whole.examples.items() if shown} == {
                key: told[:SHOWN] for key, told in every.items() if told
            }
        elif isinstance(getattr(whole, field.name), Counter):
            assert getattr(whole, field.name) == sum(values, Counter())
        else:
            assert getattr(whole, field.name) == sum(values)


@given(TALLIES, TALLIES)
def test_what_is_added_is_left_as_it_was(first, second):
    before = dataclasses.replace(second, examples={key: list(shown) for key, shown in second.examples.items()})
    counters = {f.name: Counter(getattr(second, f.name)) for f in dataclasses.fields(Tally) if "by" in f.name}
    first.add(second)
    first.show(("read", "empty"), lambda: {"text": "more"})
    assert second.examples == before.examples
    assert {name: getattr(second, name) for name in counters} == counters


@given(TALLIES)
def test_what_goes_out_of_a_step_comes_into_the_next_and_nothing_is_lost(tally):
    steps = flow(tally)
    assert [one["step"] for one in steps] == list(STEPS)
    assert steps[0]["in"] == tally.num_rows
    for before, after in itertools.pairwise(steps):
        assert before["out"] == after["in"]
    for one in steps:
        assert one["in"] - sum(one["quarantined"].values()) == one["out"]
        for kind in ("quarantined", "repaired"):
            counted = {(one["step"], name): n for name, n in one[kind].items()}
            assert counted == {key: n for key, n in getattr(tally, kind).items() if key[0] == one["step"]}
    assert steps[-1]["out"] == tally.num_rows - tally.num_quarantined


def test_no_more_examples_are_made_than_are_shown_and_the_first_are():
    tally, numbers = Tally(), count()
    for _ in range(9):
        tally.show(("read", "empty"), lambda: {"text": next(numbers)})
    assert tally.examples == {("read", "empty"): [{"text": 0}, {"text": 1}, {"text": 2}]}
    assert next(numbers) == SHOWN
