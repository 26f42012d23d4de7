"""Which records are held out."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.data.records import Origin, Record
from graftwork.data.spec import HeldOut
from graftwork.data.split import Split, digest_of_records, overlap, split

SEEDS = st.integers(0, 2**62 - 1)
CONTENTS = st.lists(st.integers(0, 60), min_size=2, max_size=80)
FRACTIONS = st.floats(0.01, 0.99)


def records(contents: list[int]) -> list[Record]:
    def turns(content: int) -> tuple[dict[str, str], dict[str, str]]:
        return {"role": "user", "content": str(content)}, {"role": "assistant", "content": "a"}

    return [Record(turns(content), Origin("x.jsonl", line)) for line, content in enumerate(contents, 1)]


def divided(given_: list[Record], held_out: HeldOut, seed: int) -> Split:
    try:
        return split(given_, held_out, seed=seed)
    except SpecError:
        assume(False)
        raise


@given(CONTENTS, FRACTIONS, SEEDS)
def test_both_sides_together_are_all_records_in_their_order_and_share_no_content(contents, fraction, seed):
    everything = records(contents)
    both = divided(everything, HeldOut(fraction=fraction), seed)
    assert sorted([*both.train, *both.evaluation], key=lambda r: r.origin.line) == everything
    assert [r.origin.line for r in both.train] == sorted(r.origin.line for r in both.train)
    assert [r.origin.line for r in both.evaluation] == sorted(r.origin.line for r in both.evaluation)
    assert overlap(both.train, both.evaluation) == []


@given(CONTENTS, FRACTIONS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(contents, fraction, seed, chance):
    everything = records(contents)
    both = divided(everything, HeldOut(fraction=fraction), seed)
    shuffled = chance.sample(everything, len(everything))
    again = split(shuffled, HeldOut(fraction=fraction), seed=seed)
    assert {r.origin for r in again.evaluation} == {r.origin for r in both.evaluation}


@given(CONTENTS, FRACTIONS, SEEDS)
def test_the_same_seed_gives_the_same_split(contents, fraction, seed):
    both = divided(records(contents), HeldOut(fraction=fraction), seed)
    assert split(records(contents), HeldOut(fraction=fraction), seed=seed) == both


@given(CONTENTS, FRACTIONS, SEEDS)
def test_where_a_record_comes_from_does_not_matter(contents, fraction, seed):
    both = divided(records(contents), HeldOut(fraction=fraction), seed)
    moved = [Record(r.messages, Origin("y.csv", r.origin.line + 7)) for r in records(contents)]
    assert [r.digest for r in split(moved, HeldOut(fraction=fraction), seed=seed).evaluation] == [
        r.digest for r in both.evaluation
    ]


@given(st.integers(2, 40), FRACTIONS, SEEDS)
def test_the_share_is_of_the_different_records(num, fraction, seed):
    once = divided(records(list(range(num))), HeldOut(fraction=fraction), seed)
    twice = split(records([*range(num), *range(num)]), HeldOut(fraction=fraction), seed=seed)
    assert len(once.evaluation) == round(fraction * num)
    assert len(twice.evaluation) == 2 * len(once.evaluation)


@given(SEEDS, st.integers(2, 30))
def test_records_of_the_same_content_stay_on_one_side(seed, copies):
    both = split(records([*[0] * copies, *range(1, 10)]), HeldOut(fraction=0.5), seed=seed)
    held = [r for r in both.evaluation if r.prompt[0]["content"] == "0"]
    assert len(held) in (0, copies)


def test_another_seed_gives_another_split():
    everything = records(list(range(100)))
    held = [split(everything, HeldOut(), seed=seed).evaluation for seed in range(5)]
    assert len({digest_of_records(side) for side in held}) == 5


def test_one_more_record_moves_few_of_the_others():
    before = split(records(list(range(100))), HeldOut(fraction=0.2), seed=0).evaluation
    after = split(records(list(range(101))), HeldOut(fraction=0.2), seed=0).evaluation
    assert len({r.digest for r in before} - {r.digest for r in after}) <= 1


def test_no_more_are_held_out_than_the_most_asked_for():
    both = split(records(list(range(100))), HeldOut(fraction=0.5, most=7), seed=0)
    assert (len(both.train), len(both.evaluation)) == (93, 7)


@pytest.mark.parametrize(("contents", "fraction"), [([1], 0.5), ([1] * 9, 0.5), ([1, 2, 3], 0.1), ([1, 2, 3], 0.9)])
def test_a_split_that_leaves_a_side_empty_is_refused(contents: list[int], fraction: float):
    with pytest.raises(SpecError) as caught:
        split(records(contents), HeldOut(fraction=fraction), seed=0)
    expected = "expected a share that leaves records to train on and holds out at least 2"
    hint = f"There are {len(set(contents))} different records, "
    assert str(caught.value).startswith(f"data.evaluation.fraction = {fraction}: {expected}. {hint}")


def test_one_held_out_record_is_refused_because_no_spread_can_be_estimated_from_it():
    with pytest.raises(SpecError):
        split(records(list(range(10))), HeldOut(fraction=0.1), seed=0)


def test_records_that_are_also_trained_on_are_found_by_content():
    assert overlap(records([1, 2]), records([3, 2, 2])) == records([3, 2, 2])[1:]


def test_a_sequence_of_records_is_named_by_content_and_order():
    assert digest_of_records(records([1, 2])) != digest_of_records(records([2, 1]))
    assert digest_of_records(records([1, 2])) != digest_of_records(records([1, 2, 2]))
