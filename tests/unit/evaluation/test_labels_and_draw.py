"""Closed sets of answers are found in the data; which records are asked is drawn from seed and content."""

import random

from graftwork.data.records import TEXT, Origin, Record
from graftwork.evaluation.draw import by_lot, draw, named, why_not_asked
from graftwork.evaluation.labels import labels_by_source


def record(question, answer, *, source=0, group=None, line=1):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(messages=turns, origin=Origin("a.jsonl", line), source=source, group=group)


def of(answers, source=0):
    return [record(f"question {n}", answer, source=source) for n, answer in enumerate(answers)]


def test_short_answers_that_come_again_are_labels():
    assert labels_by_source(of(["退款", "挂失", " 退款 ", "挂失"] * 2)) == {0: ("挂失", "退款")}


def test_each_source_has_its_own_labels_or_none():
    records = of(["yes", "no"] * 4, source=0) + of([str(n) for n in range(20)], source=1)
    assert labels_by_source(records) == {0: ("no", "yes")}


def test_no_set_are_answers_that_are_rare_long_many_or_all_the_same():
    assert labels_by_source(of(["yes", "no", "maybe"])) == {}
    assert labels_by_source(of(["yes", "a" * 61] * 9)) == {}
    assert labels_by_source(of(["yes", "no\nno"] * 9)) == {}
    assert labels_by_source(of([str(n) for n in range(101)] * 9)) == {}
    assert labels_by_source(of(["yes"] * 9)) == {}


def test_plain_text_has_no_labels():
    text = Record(messages=({"role": TEXT, "content": "yes"},), origin=Origin("a", 1))
    assert labels_by_source([text] * 9) == {}


def test_the_same_records_are_drawn_whatever_their_order():
    records = of([f"answer {n}" for n in range(50)])
    mixed = random.Random(4).sample(records, 50)
    ours = {one.id for one in draw(named(records), 10, seed=1)}
    assert ours == {one.id for one in draw(named(mixed), 10, seed=1)}
    assert ours != {one.id for one in draw(named(records), 10, seed=2)}
    assert [one.id for one in by_lot(named(records), seed=1)] == [one.id for one in by_lot(named(mixed), seed=1)]


def test_what_is_drawn_stays_in_the_order_of_the_data():
    places = [one.place for one in draw(named(of([f"answer {n}" for n in range(50)])), 10, seed=1)]
    assert places == sorted(places)
    assert len(places) == 10


def test_more_of_the_first_are_drawn_when_more_are_asked_for():
    candidates = named(of([f"answer {n}" for n in range(50)]))
    assert {one.id for one in draw(candidates, 10, seed=1)} < {one.id for one in draw(candidates, 20, seed=1)}


def test_records_of_the_same_content_have_ids_of_their_own_and_one_group():
    twice = named([record("q", "a", line=1), record("q", "a", line=2), record("other", "a")])
    assert len({one.id for one in twice}) == 3
    assert twice[0].group == twice[1].group != twice[2].group


def test_a_group_of_the_data_stays_one_and_its_name_is_not_told():
    told = named(
        [record("q", "a", group="Ann Miller"), record("r", "a", group="Ann Miller"), record("s", "a", group="B")]
    )
    assert told[0].group == told[1].group != told[2].group
    assert all("Ann" not in one.group for one in told)


def test_why_a_record_cannot_be_asked():
    assert why_not_asked(record("q", "a")) == ""
    assert why_not_asked(record("q", " ")) == "its answer is empty"
    assert (
        why_not_asked(Record(messages=({"role": "assistant", "content": "a"},), origin=Origin("a", 1)))
        == "it asks nothing"
    )
    with_tools = Record(messages=record("q", "a").messages, origin=Origin("a", 1), tools=({"name": "t"},))
    assert why_not_asked(with_tools) == "it calls tools"
