"""Robustness: the same question in other forms, each beside the answer to the question as it stands."""

from math import log

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.data.records import Origin, Record
from graftwork.evaluation.dimension import DIMENSIONS, Given
from graftwork.evaluation.dimensions.robustness import RobustnessSpec
from graftwork.evaluation.item import Reply
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation

DIMENSION = DIMENSIONS["robustness"]
LETTERED = "Which of these is a vitamin?\nA. Iron\nB. Ascorbic acid\nC. Zinc\nD. Water"


def record(question, answer, line=1, **more):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(messages=turns, origin=Origin("a.jsonl", line), **more)


RECORDS = [
    record("How long does a transfer to a European account take?", "3 days", 1),
    record("我的银行卡昨天被取款机吞了，应该怎么办？", "挂失", 2),
    record("珍妮特的鸭子每天下16颗蛋，她每天吃3颗，还剩多少颗？", "13", 3),
]


def items(spec, *records, seed=0):
    whole = Given(held_out=records, train=(), seed=seed, max_new_tokens=32)
    return list(DIMENSION.items(parse(RobustnessSpec, {"kind": "robustness", **spec}), whole))


def of_kind(kind, question, answer, **spec):
    (item,) = items({"disturbances": [kind], **spec}, record(question, answer))
    return item


def scores(item, said, said_after, nats=(2.0, 3.0)):
    weights = [Reply(nats=(one,), tokens=(1,)) for one in nats]
    told = item.score([Reply(said=said), Reply(said=said_after), *weights])
    return {name: score.total for name, score in told.items()}


def test_forms_of_a_record_are_items_of_one_group_with_the_kind_as_a_slice():
    told = items({"per_item": 3}, *RECORDS)
    assert len(told) == 9
    assert len({item.id for item in told}) == 9
    assert len({item.group for item in told}) == 3
    for item in told:
        kind = item.slices["disturbance"]
        assert item.id == f"{item.group}/{kind}"
        assert item.slices["severity"] == PERTURBATIONS[kind].severity
        plain, after, weighed, weighed_after = item.questions
        assert plain.prompt == weighed.prompt != after.prompt == weighed_after.prompt
        assert weighed.options == weighed_after.options == (item.expected,)


def test_a_right_answer_that_stays():
    assert scores(of_kind("typos", RECORDS[0].question, "3 days"), "3 days", "3 Days.") == {
        "accuracy": 1.0,
        "drop": 0.0,
        "flips": 0.0,
        "similarity": pytest.approx(0.3117, abs=1e-4),
        "bits_per_byte": 3 / log(2),
        "bits_rise": 1 / log(2),
    }


def test_a_right_answer_that_is_lost_and_one_that_is_won():
    item = of_kind("typos", RECORDS[0].question, "3 days")
    lost, won, other = (
        scores(item, "3 days", "a week"),
        scores(item, "a week", "3 days"),
        scores(item, "never", "a week"),
    )
    assert (lost["accuracy"], lost["drop"], lost["flips"]) == (0, 1, 1)
    assert (won["accuracy"], won["drop"], won["flips"]) == (1, -1, 1)
    assert (other["accuracy"], other["drop"], other["flips"]) == (0, 0, 1)


def test_of_a_long_answer_only_what_is_graded_is_told():
    item = of_kind("typos", RECORDS[0].question, "a word " * 40)
    assert set(scores(item, "x", "x")) == {"similarity", "bits_per_byte", "bits_rise"}


def test_an_answer_in_traditional_characters_to_a_question_in_them_is_right():
    item = of_kind("script", "请问头发掉得厉害应该看什么科？", "皮肤科门诊")
    assert "頭髮" in item.questions[1].prompt[-1]["content"]
    told = scores(item, "皮肤科门诊", "皮膚科門診")
    assert (told["accuracy"], told["flips"], told["similarity"]) == (1, 0, 1)


def test_an_answer_in_full_width_is_no_flip():
    item = of_kind("width", "请问ATM吞卡了，怎么办？", "打电话给ABC")
    assert scores(item, "打电话给ABC", "打电话给ＡＢＣ")["flips"] == 0


def test_the_letter_of_an_option_moves_with_it():
    item = of_kind("option_order", LETTERED, "B")
    lines = item.questions[1].prompt[-1]["content"].splitlines()
    assert sorted(line[3:] for line in lines[1:]) == ["Ascorbic acid", "Iron", "Water", "Zinc"]
    assert next(line for line in lines if "Ascorbic" in line)[0] == item.expected
    moved = next(line for line in lines if "Iron" in line)[0]
    stayed = scores(item, "A", moved)
    assert (stayed["accuracy"], stayed["flips"], stayed["similarity"]) == (0, 0, 1)
    assert scores(item, "B", item.expected)["accuracy"] == 1
    if moved != "A":
        assert scores(item, "A", "A")["flips"] == 1


@pytest.mark.parametrize("answer", ["Ascorbic acid", "ascorbic acid."])
def test_an_option_that_is_said_in_words_stays_the_answer(answer):
    assert of_kind("option_order", LETTERED, answer).expected == answer


def test_an_option_with_its_letter_gets_the_letter_that_it_has_now():
    item = of_kind("option_order", LETTERED, "B. Ascorbic acid")
    assert item.expected in item.questions[1].prompt[-1]["content"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (LETTERED.replace("Water", "All of the above"), "B"),
        ("哪项是维生素？A. 铁 B. 抗坏血酸 C. 锌 D. 以上都是", "B"),
        (LETTERED, "The answer is B, for A is a metal"),
        (LETTERED, "because it is needed"),
        ("What is Plan A. and who made it?", "Ann"),
    ],
)
def test_options_that_cannot_change_places_for_sure_are_left_alone(question, answer):
    assert items({"disturbances": ["option_order"]}, record(question, answer)) == []


def test_labels_in_a_system_turn_change_places():
    system = {"role": "system", "content": "Reply with one word: Anatomy, Dentistry or Physiology."}
    turns = (system, {"role": "user", "content": "Teeth?"}, {"role": "assistant", "content": "Dentistry"})
    told = Record(messages=turns, origin=Origin("a", 1))
    labels = ["Anatomy", "Dentistry", "Physiology"]
    (item,) = items({"disturbances": ["option_order"], "labels": labels}, told)
    listed = item.questions[1].prompt[0]["content"]
    assert listed != system["content"]
    assert sorted(listed.replace(",", "").replace(".", "").split()) == sorted(
        system["content"].replace(",", "").replace(".", "").split()
    )


def test_no_disturbance_touches_a_label():
    question = "Is anatomical anatomy taught before physiology lessons at European universities?"
    for seed in range(20):
        for item in items({"labels": ["anatomy", "physiology"], "per_item": 9}, record(question, "anatomy"), seed=seed):
            asked = item.questions[1].prompt[-1]["content"].casefold()
            assert all(label in asked for label in (" anatomy", "physiology")), item.id


def test_other_records_do_not_change_the_forms_of_a_record():
    alone = items({}, RECORDS[0])
    among = [item for item in items({}, *RECORDS) if item.group == alone[0].group]
    assert [item.questions for item in alone] == [item.questions for item in among]


def test_what_no_disturbance_applies_to_is_told():
    whole = Given(held_out=RECORDS, train=(), seed=0, max_new_tokens=8)
    assert list(DIMENSION.notes(RobustnessSpec(disturbances=("option_order",)), whole)) == [
        "No record can be disturbed by: option_order.",
        "0 records can be disturbed, fewer than the 60 asked for.",
    ]


def test_an_unknown_disturbance_is_refused_with_the_nearest():
    with pytest.raises(SpecError) as caught:
        parse(RobustnessSpec, {"kind": "robustness", "disturbances": ["typo", "case", "nonsense"]})
    assert [problem.path for problem in caught.value.problems] == ["disturbances", "disturbances"]
    assert "Did you mean 'typos'?" in str(caught.value)


def test_a_disturbance_whose_package_is_missing_is_told_or_refused_when_asked_for():
    lacking = Perturbation(
        name="lacking",
        about="Nothing.",
        scripts=("latin",),
        severity="unseen",
        disturb=lambda *_: None,
        needs="not_there",
    )
    PERTURBATIONS.add("lacking", lacking)
    try:
        whole = Given(held_out=RECORDS, train=(), seed=0, max_new_tokens=8)
        assert items({}, *RECORDS)
        notes = " ".join(DIMENSION.notes(RobustnessSpec(), whole))
        assert "lacking (needs not_there). pip install 'graftwork[evaluation]'" in notes
        with pytest.raises(SpecError, match=r"disturbances = 'lacking': expected not_there to be installed"):
            items({"disturbances": ["lacking"]}, *RECORDS)
    finally:
        del PERTURBATIONS._items["lacking"]


def test_empty_replies_raise_nothing():
    for item in items({}, *RECORDS):
        assert "bits_per_byte" not in item.score([Reply()] * 4)
