"""Accuracy: what is asked of held-out records, and what answers to them are worth."""

from dataclasses import replace

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.data.records import TEXT, Origin, Record
from graftwork.evaluation.dimension import DIMENSIONS, Given
from graftwork.evaluation.dimensions.accuracy import AccuracySpec
from graftwork.evaluation.item import Reply

DIMENSION = DIMENSIONS["accuracy"]
LONG = "头孢类药物应当在饭后服用，每天两次，每次一片，连续服用七天，不得与酒同服，如有不适请立即停药并就医。"


def record(question, answer, line=1, **more):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(messages=turns, origin=Origin("a.jsonl", line), **more)


def given(*records, train=()):
    return Given(held_out=records, train=train, seed=0, max_new_tokens=32)


def items(spec, *records, train=()):
    return list(DIMENSION.items(parse(AccuracySpec, {"kind": "accuracy", **spec}), given(*records, train=train)))


LABELLED = [record(f"question {n}", ["Physiology", "Anatomy"][n % 2], n) for n in range(8)]


def test_a_labelled_record_is_asked_freely_and_weighed_against_all_labels():
    item = items({}, *LABELLED)[0]
    assert [one.options for one in item.questions] == [(), ("Anatomy", "Physiology")]
    assert item.questions[0].max_new_tokens == 32
    assert dict(item.slices) == {"script": "latin", "source": "a.jsonl", "label": "Physiology"}
    assert item.origin == "a.jsonl line 0"


def test_a_right_answer_to_a_labelled_record():
    scores = items({}, *LABELLED)[0].score([Reply(said="Physiology"), Reply(nats=(4.0, 1.0), tokens=(3, 3))])
    assert {name: score.total for name, score in scores.items() if name != "bits_per_byte"} == pytest.approx(
        dict.fromkeys(("exact", "exact_loose", "f1", "chrf", "rouge_1", "rouge_l", "choice", "choice_per_token"), 1.0)
        | {"choice_per_byte": 1.0}
    )
    assert scores["bits_per_byte"].total == pytest.approx(1.4427, abs=1e-4)
    assert scores["bits_per_byte"].weight == len("Physiology")


def test_a_wrong_answer_to_a_labelled_record():
    scores = items({}, *LABELLED)[0].score([Reply(said="Anatomy"), Reply(nats=(1.0, 4.0), tokens=(3, 3))])
    assert scores["exact"].total == scores["choice"].total == scores["choice_per_byte"].total == 0


def test_what_does_not_apply_is_not_reported():
    scores = items({}, record("为什么？", LONG))[0].score([Reply(said=LONG), Reply(nats=(9.0,), tokens=(40,))])
    assert "exact" not in scores
    assert "choice" not in scores
    assert scores["bleu"].total == pytest.approx(1)
    assert scores["chrf"].total == pytest.approx(1)
    short = items({}, record("谁？", "否"))[0].score([Reply(said="否"), Reply(nats=(9.0,), tokens=(1,))])
    assert "bleu" not in short
    assert "rouge_2" not in short
    assert "choice" not in short


def test_labels_come_from_the_training_records_too():
    (item,) = items({}, record("question", "Anatomy"), train=LABELLED)
    assert item.questions[1].options == ("Anatomy", "Physiology")


def test_labels_of_the_recipe_are_taken_as_they_are():
    found = items({"labels": ["a", "b", "c"]}, record("q", "a"), record("r", "b"), record("s", "something else"))
    assert [one.questions[1].options for one in found] == [("a", "b", "c"), ("a", "b", "c"), ("something else",)]


def test_the_final_answer_alone_is_compared_word_for_word():
    (item,) = items({"final_after": "####"}, record("2+2?", "two and two is 4\n#### 4"))
    reply = Reply(nats=(1.0,), tokens=(9,))
    scores = item.score([Reply(said="I think it is four, #### or: #### 4"), reply])
    assert scores["exact"].total == scores["f1"].total == 1 > scores["rouge_l"].total
    assert item.score([Reply(said="4"), reply])["exact"].total == 1
    assert item.score([Reply(said="#### 5"), reply])["exact"].total == 0


def test_plain_text_is_weighed_alone():
    text = Record(messages=({"role": TEXT, "content": "退款三天"},), origin=Origin("a", 1))
    (item,) = items({}, text)
    (question,) = item.questions
    assert question.is_text
    assert question.options == ("退款三天",)
    assert question.prompt == ()
    assert set(item.score([Reply(nats=(3.0,), tokens=(4,))])) == {"bits_per_byte"}


def test_what_cannot_be_asked_is_left_out_and_told():
    tools = replace(record("q", "a", 1), tools=({"name": "t"},))
    spec = AccuracySpec(items=2)
    everyone = given(tools, record("p", "b"), record("r", "c"), record("s", "d"))
    assert len(list(DIMENSION.items(spec, everyone))) == 2
    assert list(DIMENSION.notes(spec, everyone)) == [
        "1 held-out records are left out: it calls tools.",
        "2 of 3 held-out records were drawn.",
    ]


def test_nothing_held_out_gives_no_items():
    assert items({}) == []
    assert list(DIMENSION.notes(AccuracySpec(), given())) == []


def test_an_empty_reply_is_wrong_and_weighs_nothing():
    scores = items({}, *LABELLED)[0].score([Reply(), Reply()])
    assert scores["exact"].total == 0
    assert "choice" not in scores
    assert "bits_per_byte" not in scores


def test_labels_and_a_mark_that_no_record_has_are_refused_together():
    with pytest.raises(SpecError) as caught:
        items({"labels": ["x", "y"], "final_after": "####"}, *LABELLED)
    assert str(caught.value) == (
        "labels = ('x', 'y'): expected answers of the held-out records; none of these is one\n"
        "final_after = '####': expected what stands in answers of the held-out records"
    )


def test_the_verdict_follows_from_exact_answers_and_bits():
    assert [metric.name for metric in DIMENSION.metrics if metric.is_main] == ["exact", "bits_per_byte"]
    assert len({metric.name for metric in DIMENSION.metrics}) == len(DIMENSION.metrics) == 12
