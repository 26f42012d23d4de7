"""Answers held against what was expected."""

import pytest

from graftwork.data.records import Origin, Record
from graftwork.evaluation.answers import Answered, exact_answers


def record(*turns: tuple[str, str]) -> Record:
    return Record(tuple({"role": role, "content": content} for role, content in turns), Origin("x.jsonl", 1))


CAPITALS = [
    record(("system", "s"), ("user", "France?"), ("assistant", "Paris")),
    record(("user", "Italy?"), ("assistant", "Rome")),
    record(("user", "Spain?"), ("assistant", "Madrid")),
    record(("user", "Peru?"), ("assistant", "Lima")),
]


def test_the_share_answered_word_for_word_is_counted():
    share, answered = exact_answers(CAPITALS, ["Paris", "rome", "Madrid", "Lima."])
    assert (share.mean, share.num_scored) == (0.5, 4)
    assert [one.is_exact for one in answered] == [True, False, True, False]


def test_what_was_asked_expected_and_said_is_kept_in_order():
    _, answered = exact_answers(CAPITALS[:2], ["Paris", "Milan"])
    assert answered == [
        Answered(prompt="France?", expected="Paris", said="Paris"),
        Answered(prompt="Italy?", expected="Rome", said="Milan"),
    ]


@pytest.mark.parametrize(
    ("said", "is_exact"),
    [("Paris", True), (" Paris\n", True), ("paris", False), ("", False), ("Par is", False), ("Paris.", False)],
)
def test_white_space_at_the_ends_alone_is_forgiven(said: str, is_exact: bool):
    assert Answered(prompt="?", expected="Paris ", said=said).is_exact is is_exact


def test_more_or_fewer_answers_than_records_are_refused():
    for said in (["Paris"], ["Paris", "Rome", "x"]):
        with pytest.raises(ValueError, match="zip"):
            exact_answers(CAPITALS[:2], said)


def test_one_record_is_refused():
    with pytest.raises(ValueError, match="no spread can be estimated"):
        exact_answers(CAPITALS[:1], ["Paris"])


def test_a_record_without_a_prompt_can_be_scored():
    alone = [record(("assistant", "Once upon a time")), record(("assistant", "The end"))]
    share, answered = exact_answers(alone, ["Once upon a time", "x"])
    assert share.mean == 0.5
    assert [one.prompt for one in answered] == ["", ""]
