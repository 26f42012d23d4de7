"""What is laid out predicts what the records predict, from what stands before it in them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.data.shared import WORTHWHILE, laid_out


def record(tokens, targets):
    return Encoded(tuple(tokens), tuple(at in targets for at in range(len(tokens))), Origin("r.jsonl", 1))


COMMON = list(range(100, 112))
SYSTEM_PROMPT = [
    record([*COMMON, 1, 2, 3, 4], {14}),
    record([*COMMON, 5, 6], {13}),
    record([*COMMON, 7, 8, 9], {13, 14}),
]


def said(records):
    """Every target with all that its record has before it, record by record."""
    return [
        (tuple(one.tokens_T[:at]), one.tokens_T[at])
        for one in records
        for at in range(1, len(one.tokens_T))
        if one.is_target_T[at]
    ]


def told(laid):
    """The same, read from the row: what a state sees is what all share and its own record up to itself."""
    owner = [None] * laid.shared + [i for i, length in enumerate(laid.lengths) for _ in range(length)]
    tokens = laid.tokens_N.tolist()
    before = [
        tuple(tokens[at] for at in range(state + 1) if owner[at] in (None, owner[state]))
        for state in laid.states_P.tolist()
    ]
    return list(zip(before, laid.targets_P.tolist(), strict=True))


def positions(laid):
    shared = laid.shared
    return [*range(shared), *(shared + at for length in laid.lengths for at in range(length))]


def test_a_system_prompt_is_there_once_and_nothing_stands_behind_the_last_target():
    laid = laid_out(SYSTEM_PROMPT, shares=True)
    assert laid.tokens_N.tolist() == [*COMMON, 1, 2, 5, 7, 8]
    assert (laid.shared, laid.lengths, laid.num_tokens) == (12, (2, 1, 2), 16 + 14 + 15)
    assert laid.states_P.tolist() == [13, 14, 15, 16]
    assert laid.targets_P.tolist() == [3, 6, 8, 9]


def test_nothing_is_shared_where_it_may_not_be():
    laid = laid_out(SYSTEM_PROMPT, shares=False)
    assert (laid.shared, laid.lengths) == (0, (14, 13, 14))
    assert told(laid) == said(SYSTEM_PROMPT)


def test_a_state_that_predicts_a_target_is_never_shared():
    early = [record([*COMMON, 1], {11, 12}), record([*COMMON, 2], {12})]
    assert laid_out(early, shares=True).shared == 10


@pytest.mark.parametrize(("common", "shared"), [(WORTHWHILE - 1, 0), (WORTHWHILE, WORTHWHILE)])
def test_a_short_beginning_is_not_worth_sharing(common, shared):
    two = [record([*range(common), 100 + i, 5, 6], {common + 2}) for i in range(2)]
    assert laid_out(two, shares=True).shared == shared


def test_a_record_alone_and_equal_records_keep_a_sane_form():
    assert laid_out(SYSTEM_PROMPT[:1], shares=True).shared == 0
    twice = laid_out([SYSTEM_PROMPT[0]] * 2, shares=True)
    assert (twice.shared, twice.lengths) == (13, (1, 1))


def test_a_record_without_targets_is_counted_and_not_computed():
    silent = record(range(50, 70), {0})  # a first token is never a target
    laid = laid_out([silent, *SYSTEM_PROMPT], shares=True)
    assert laid.tokens_N.tolist() == laid_out(SYSTEM_PROMPT, shares=True).tokens_N.tolist()
    assert laid.num_tokens == 20 + 16 + 14 + 15


def test_where_nothing_is_predicted_a_token_is_left():
    laid = laid_out([record([4, 5], set()), record([6], set())], shares=True)
    assert (laid.tokens_N.tolist(), laid.lengths, laid.num_tokens) == ([4], (1,), 3)
    assert laid.states_P.numel() == laid.targets_P.numel() == 0


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(0, 20), st.booleans())
def test_any_records_are_told_as_they_are_said(data, common, shares):
    records = []
    for _ in range(data.draw(st.integers(1, 5))):
        own = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
        targets = data.draw(st.sets(st.integers(max(0, common - 3), common + len(own) - 1)))
        records.append(record([*range(100, 100 + common), *own], targets))
    laid = laid_out(records, shares=shares)
    assert told(laid) == said(records)
    assert laid.shared + sum(laid.lengths) == len(laid.tokens_N)
    assert min(laid.lengths) >= 1
    assert not (laid.shared and not shares)
    assert laid.positions_N.tolist() == positions(laid)
