"""Each check of all records: what it finds and what it says."""

import numpy as np
import pytest

from graftwork.core.spec import parse
from graftwork.data.quality.spec import QualitySpec
from graftwork.data.quality.text import compared_text
from graftwork.data.quality.traits import traits
from graftwork.data.quality.whole import judged
from graftwork.data.records import TEXT, Origin, Record


def said(question, answer, system=None, **more):
    head = ({"role": "system", "content": system},) if system else ()
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record((*head, *turns), Origin("x.jsonl", 1), **more)


def verdict(records, held=None, **asked):
    spec = parse(QualitySpec, asked)
    side = None if held is None else np.array(held, np.uint8)
    return judged(traits(records, spec), spec, text_of=lambda i: compared_text(records[i]), side=side)


def found(records, held=None, **asked):
    """What is set aside: index, check, other record."""
    aside = verdict(records, held, **asked).quarantined
    return [(index, why.reason, why.like) for index, why in sorted(aside.items())]


def details(records, held=None, **asked):
    return [why.detail for _, why in sorted(verdict(records, held, **asked).quarantined.items())]


ASKED = "How long does it take until a loan of this kind is approved?"
TOLD = "It takes about two weeks from the day on which all papers have been handed in at the bank."


def test_the_same_but_for_case_width_and_white_space_is_a_duplicate():
    records = [said(ASKED, TOLD), said("other", "thing"), said(ASKED.upper(), TOLD + " "), said(ASKED, TOLD)]
    assert found(records) == [(2, "duplicates", 0), (3, "duplicates", 0)]
    assert details(records)[0] == "the same as {like}; 1 of the same is kept (most)"
    assert details(records, duplicates={"most": 2}) == ["the same as {like}; 2 of the same are kept (most)"]


@pytest.mark.parametrize(
    "other",
    [
        said(ASKED, TOLD, system="Answer briefly."),
        said(ASKED, TOLD, rejected="I do not know what to say about that."),
        said(ASKED, TOLD, tools=({"name": "search"},)),
        Record(({"role": TEXT, "content": f"{ASKED}\n{TOLD}"},), Origin("x.txt", 1)),
    ],
    ids=["system", "rejected", "tools", "plain text"],
)
def test_what_differs_in_system_message_worse_answer_tools_or_form_is_no_duplicate(other):
    assert found([said(ASKED, TOLD), other]) == []


def test_the_first_of_near_duplicates_is_kept_and_how_alike_they_are_is_told():
    records = [said(ASKED, TOLD), said(ASKED, TOLD.replace("about", "around"))]
    assert found(records) == [(1, "near_duplicates", 0)]
    assert details(records) == ["0.89 like {like}; records up to 0.8 alike are kept (threshold)"]


@pytest.mark.parametrize("change", [("two", "2"), ("two", "iii")])
def test_records_whose_numbers_differ_are_kept_but_in_one_group(change):
    records = [said(ASKED, TOLD), said(ASKED, TOLD.replace(*change))]
    assert found(records) == []
    assert verdict(records).group.tolist() == [0, 0]


def test_records_with_different_labels_are_kept_but_in_one_group():
    text = "The customer writes: my card was declined twice at the supermarket on the corner, please help me soon"
    records = [said(text, "card declined"), said(text + "!", "card disputed")]
    assert found(records) == []
    assert verdict(records).group.tolist() == [0, 0]


def test_keeping_all_sets_nothing_aside_but_groups():
    records = [said(ASKED, TOLD), said(ASKED, TOLD.replace("about", "around"))]
    assert found(records, near_duplicates={"keep": "all"}) == []
    assert verdict(records, near_duplicates={"keep": "all"}).group.tolist() == [0, 0]


def test_one_question_with_two_labels_is_a_contradiction_of_all():
    records = [said(ASKED, "yes"), said(ASKED, "no"), said(ASKED, "yes"), said("other", "no")]
    assert found(records) == [(0, "contradictions", 1), (1, "contradictions", 0), (2, "contradictions", 1)]
    assert details(records)[0] == (
        "another answer than {like} to the same question; 3 records give it 2 different answers (keep: none)"
    )


def test_the_majority_stays_when_asked_and_a_tie_has_none():
    records = [said(ASKED, "yes"), said(ASKED, "no"), said(ASKED, "yes")]
    asked = {"contradictions": {"keep": "majority"}}
    assert found(records, **asked) == [(1, "contradictions", 0), (2, "duplicates", 0)]
    assert [index for index, *_ in found(records[:2], **asked)] == [0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Yes.", "No."), ("您好，请问有什么可以帮您", "您好！"), (TOLD, TOLD[10:]), ("yes", TOLD)],
)
def test_sentences_may_answer_one_question_differently(one, other):
    assert found([said(ASKED, one), said(ASKED, other)], near_duplicates="off") == []


def test_the_same_question_under_another_system_message_is_another_question():
    records = [said(ASKED, "yes", system="You are strict."), said(ASKED, "no", system="You are kind.")]
    assert found(records) == []


def test_a_training_record_that_equals_a_held_out_one_is_set_aside_and_the_held_out_one_stays():
    records = [said(ASKED, TOLD), said("other", "thing"), said(ASKED, TOLD), said(ASKED, TOLD)]
    assert found(records, (0, 0, 1, 1)) == [(0, "leakage", 2)]
    assert details(records, (0, 0, 1, 1)) == ["the same as {like}, which is held out"]


def test_a_training_record_with_a_held_out_question_is_set_aside():
    records = [said(ASKED, "quite another answer."), said(ASKED, TOLD)]
    assert found(records, (0, 1)) == [(0, "leakage", 1)]
    assert details(records, (0, 1)) == [
        "the same question as {like}, which is held out; of 20 characters or more (question_characters)"
    ]
    assert found([said("你好", "您好。"), said("你好", "你好呀！")], (0, 1)) == []


def test_a_training_record_like_a_held_out_one_is_set_aside_even_when_numbers_differ():
    records = [said(ASKED + "?", TOLD), said(ASKED, TOLD.replace("two", "3"))]
    assert found(records, (0, 1)) == [(0, "leakage", 1)]
    assert details(records, (0, 1)) == ["0.88 like {like}, which is held out; up to 0.8 is kept (threshold)"]


def test_without_held_out_records_nothing_leaks():
    records = [said(ASKED, TOLD), said(ASKED, "quite another answer.")]
    assert found(records) == found(records, (0, 0)) == []


def test_held_out_records_are_never_set_aside():
    records = [said(ASKED, "yes"), said(ASKED, "no"), said(ASKED, "yes")]
    assert found(records, (1, 1, 1)) == []


def test_a_record_that_an_earlier_check_set_aside_is_not_what_another_is_compared_with():
    records = [said(ASKED, "yes"), said(ASKED, "no"), said(ASKED + "?", "yes")]
    assert found(records) == [(0, "contradictions", 1), (1, "contradictions", 0)]
