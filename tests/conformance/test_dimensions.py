"""What every dimension that asks promises: it joins by being in the catalog."""

import json
import math

import pytest

import graftwork.evaluation.dimensions  # noqa: F401  fills the catalog
from graftwork.core.spec import parse
from graftwork.data.records import TEXT, Origin, Record
from graftwork.evaluation.dimension import DIMENSIONS, Given
from graftwork.evaluation.item import Reply

ASKING = [name for name in DIMENSIONS if not DIMENSIONS[name].is_measured]


def record(number, question, answer, file="own.jsonl"):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(turns, Origin(file, number))


HELD_OUT = [
    *(record(i, f"Is order {i} a refund or a delivery?", ("refund", "delivery")[i % 2]) for i in range(6)),
    *(record(i, f"第{i}号订单是退款还是送货？", ("退款", "送货")[i % 2], "zh.jsonl") for i in range(6)),
    record(20, "Why is the sky blue?", "Because air scatters blue light more than red light."),
    record(21, "为什么天空是蓝色的？", "因为空气对蓝光的散射比对红光强。"),
    Record(({"role": TEXT, "content": "A page of plain text."},), Origin("pages.txt", 1)),
]


def given(records=HELD_OUT, seed=3):
    return Given(held_out=records, train=list(records), seed=seed, max_new_tokens=16)


def asked(name, **more):
    dimension = DIMENSIONS[name]
    return list(dimension.items(parse(dimension.spec, {"kind": name}), given(**more)))


def best(item, question):
    """The reply that everyone hopes for: what is expected, the expected option, or the first, which is right."""
    if not question.options:
        return Reply(said=item.expected)
    right = question.options.index(item.expected) if item.expected in question.options else 0
    nats = tuple(1.0 if i == right else 50.0 + i for i in range(len(question.options)))
    return Reply(nats=nats, tokens=(3,) * len(nats))


def empty(question):
    return Reply(nats=(5.0,) * len(question.options), tokens=(3,) * len(question.options))


@pytest.fixture(scope="module", params=ASKING)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def items(name):
    return asked(name)


def test_it_asks_something_in_both_languages(items):
    texts = ["".join(turn["content"] for q in item.questions for turn in q.prompt) for item in items]
    assert any("\u4e00" <= c <= "\u9fff" for text in texts for c in text)
    assert any(text and text.isascii() for text in texts)


def test_ids_are_unique_and_the_same_in_every_call(name, items):
    ids = [item.id for item in items]
    assert len(set(ids)) == len(ids)
    assert [(i.id, i.group, i.questions) for i in asked(name)] == [(i.id, i.group, i.questions) for i in items]


def test_ids_do_not_depend_on_the_order_of_the_records(name, items):
    turned = asked(name, records=HELD_OUT[::-1])
    assert {item.id: item.questions for item in turned} == {item.id: item.questions for item in items}


def test_every_item_says_where_it_comes_from_and_asks_something_of_words(items):
    for item in items:
        assert item.origin
        assert item.questions
        assert all(question.options or question.prompt for question in item.questions)
        assert len(set(item.questions[0].options)) == len(item.questions[0].options)


def test_scores_are_of_declared_metrics_and_shares_are_of_one(name, items):
    metrics = {metric.name: metric for metric in DIMENSIONS[name].metrics}
    for item in items:
        for replies in ([best(item, q) for q in item.questions], [empty(q) for q in item.questions]):
            for metric, score in item.score(replies).items():
                assert metric in metrics
                if metrics[metric].is_share:
                    assert score.weight == 1
                    assert score.total in (0, 1)


def test_an_empty_reply_never_raises_and_scores_are_plain_numbers(items):
    for item in items:
        json.dumps([item.id, item.group, item.origin, dict(item.slices), item.expected])
        for score in item.score([empty(q) for q in item.questions]).values():
            assert all(map(math.isfinite, (score.total, score.weight, *score.counts)))


def test_the_hoped_for_replies_score_at_least_as_well_as_empty_ones(name, items):
    metrics = {metric.name: metric for metric in DIMENSIONS[name].metrics if metric.combined is None}
    compared = 0
    for item in items:
        if not item.expected:
            continue
        good = item.score([best(item, q) for q in item.questions])
        bad = item.score([empty(q) for q in item.questions])
        for metric in good.keys() & bad.keys() & metrics.keys():
            if not (good[metric].weight and bad[metric].weight):
                continue
            values = good[metric].total / good[metric].weight, bad[metric].total / bad[metric].weight
            assert values[0] >= values[1] if metrics[metric].better == "more" else values[0] <= values[1], item.id
            compared += 1
    assert compared


def test_metrics_are_told_in_words_and_one_is_the_main_one(name):
    metrics = DIMENSIONS[name].metrics
    assert any(metric.is_main for metric in metrics)
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.unit
        assert metric.about.endswith(".")


def test_paths_are_fields_of_its_spec(name):
    dimension = DIMENSIONS[name]
    assert set(dimension.paths) <= dimension.spec.model_fields.keys()
