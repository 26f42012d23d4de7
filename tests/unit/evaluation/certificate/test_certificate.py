"""The certificate: given under equal conditions alone, refused by name otherwise, and no change to it goes unseen."""

import copy
from dataclasses import replace

import pytest

from graftwork.core.errors import ConflictError, IntegrityError
from graftwork.data.records import Origin, Record
from graftwork.evaluation.certificate.conditions import OF_ALL, OF_TRAINED, differences
from graftwork.evaluation.certificate.document import certificate, checked, signable
from graftwork.evaluation.certificate.manifest import Manifest, read, told
from graftwork.evaluation.certificate.overlap import overlapping
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Item, Question, Score
from graftwork.evaluation.result import Subject
from graftwork.evaluation.summary import Scored, summarised

EXACT = Metric(name="exact", unit="share", better="more", about="", is_share=True, is_main=True)


def item(number, question="q", answer="a"):
    asked = Question(prompt=({"role": "user", "content": question},))
    return Item(id=str(number), group=str(number), origin="", questions=(asked,), score=lambda _: {}, expected=answer)


def manifest(name, kind, **changes):
    trained = {} if kind == "base" else {"trained_on": "d1", "order_seed": 7}
    common = {
        "weights": f"w-{name}",
        "base": "b1",
        "evaluated_on": {"accuracy": "e1"},
        "template": "t1",
        "prompts": "p1",
        "decoding": {"greedy": True, "max_new_tokens": 64},
        "hardware": {"device": "cpu", "name": "x", "memory_bytes": 1},
        "libraries": {"torch": "2.13.0", "graftwork": "0.1.0"},
        "code": "c1",
    }
    return Manifest(subject=name, kind=kind, **{**common, **trained, **changes})


def result():
    subjects = [Subject(name=n, kind=n) for n in ("base", "adapter", "full")]
    items = [item(i) for i in range(400)]
    scores = {
        name: {one.id: {"exact": Score(float(i % 10 < right))} for i, one in enumerate(items)}
        for name, right in (("base", 5), ("adapter", 8), ("full", 8))
    }
    one = Scored(name="accuracy", about="", metrics=[EXACT], items=items, scores=scores)
    return summarised(subjects, [one], margins={"exact": 0.05})


MANIFESTS = tuple(manifest(n, n) for n in ("base", "adapter", "full"))


def test_under_equal_conditions_it_is_given_and_valid():
    document = certificate(result(), MANIFESTS, overlaps={})
    checked(document, result())
    assert [(v["subject"], v["reference"], v["verdict"]) for v in document["verdicts"]] == [
        ("adapter", "base", "better"), ("adapter", "full", "not worse"), ("full", "base", "better"),
    ]  # fmt: skip
    assert document["held_equal"] == {"all": list(OF_ALL), "trained": list(OF_TRAINED)}


def test_the_same_evaluation_gives_the_same_certificate():
    assert certificate(result(), MANIFESTS, overlaps={}) == certificate(result(), MANIFESTS, overlaps={})


OTHER = {
    "base": "b2",
    "evaluated_on": {"accuracy": "e2"},
    "template": "t2",
    "prompts": "",
    "decoding": {"greedy": False, "max_new_tokens": 64},
    "hardware": {"device": "cuda", "name": "x", "memory_bytes": 1},
    "libraries": {"torch": "2.12.0", "graftwork": "0.1.0"},
    "code": "c2",
    "trained_on": "d2",
    "order_seed": 8,
}


@pytest.mark.parametrize("name", [*OF_ALL, *OF_TRAINED])
def test_every_condition_that_differs_is_refused_by_its_name(name):
    changed = (*MANIFESTS[:2], manifest("full", "full", **{name: OTHER[name]}))
    with pytest.raises(ConflictError, match=rf"(?s)No certificate:.*full\.{name}"):
        certificate(result(), changed, overlaps={})
    assert len(differences(changed)) == 1


def test_all_differences_are_told_at_once_and_of_mappings_key_by_key():
    changed = (*MANIFESTS[:2], manifest("full", "full", **OTHER))
    told_paths = [problem.path for problem in differences(changed)]
    assert told_paths == [
        "full.base", "full.evaluated_on.accuracy", "full.template", "full.prompts", "full.decoding.greedy",
        "full.hardware.device", "full.libraries.torch", "full.code", "full.trained_on", "full.order_seed",
    ]  # fmt: skip
    assert str(differences(changed)[6]) == (
        "full.libraries.torch = '2.12.0': expected '2.13.0', as base has it. Evaluate both with the libraries alike."
    )


def test_weights_may_differ_and_a_base_was_trained_on_nothing():
    assert differences(MANIFESTS) == ()


@pytest.mark.parametrize(("name", "nothing"), [("trained_on", ""), ("order_seed", None)])
def test_two_of_which_nobody_knows_are_not_taken_for_equal(name, nothing):
    changed = (MANIFESTS[0], *(manifest(one, one, **{name: nothing}) for one in ("adapter", "full")))
    assert differences(changed) == ()
    with pytest.raises(ConflictError, match=rf"(?s)adapter\.{name} = None.*full\.{name} = None"):
        certificate(result(), changed, overlaps={})


def test_other_training_data_is_told_with_what_the_recipes_have_and_not_with_lengths():
    others = {"privacy.mode": "mask", "learn": "all", "steps": 9}
    ours = manifest("adapter", "adapter", training={"learn": "all", "steps": 3})
    theirs = manifest("full", "full", trained_on="d2", training=others)
    (problem,) = differences((MANIFESTS[0], ours, theirs))
    assert str(problem) == (
        "full.trained_on = 'd2': expected 'd1', as adapter has it. Train both with the training data alike. "
        "Their recipes have: privacy.mode 'mask' and not set."
    )


def test_a_seed_of_zero_is_a_seed():
    changed = (MANIFESTS[0], *(manifest(one, one, order_seed=0) for one in ("adapter", "full")))
    checked(certificate(result(), changed, overlaps={}), result())


def test_one_whose_training_records_are_not_here_is_refused_by_name():
    with pytest.raises(ConflictError, match=r"full\.records = None: expected its training records"):
        certificate(result(), MANIFESTS, overlaps={}, unseen=["full"])


def test_a_subject_without_a_manifest_is_refused():
    with pytest.raises(ConflictError, match=r"manifest\.full"):
        certificate(result(), MANIFESTS[:2], overlaps={})


def test_items_that_were_trained_on_are_refused_by_name():
    with pytest.raises(ConflictError, match=r"accuracy\.items = '1, 2, 3, 4, 5 and 2 more'"):
        certificate(result(), MANIFESTS, overlaps={"accuracy": list("1234567")})


def test_metrics_and_dimensions_of_no_items_are_refused_by_name():
    with pytest.raises(ConflictError, match=r"accuracy\.f1 = 0"):
        certificate(result(), MANIFESTS, overlaps={}, claimed=["accuracy.f1"])
    nothing = Scored(name="safety", about="", metrics=[EXACT], items=[], scores={})
    with pytest.raises(ConflictError, match=r"safety = 0: expected one item or more"):
        certificate(summarised(result().subjects, [nothing]), MANIFESTS, overlaps={})


def test_a_main_metric_that_a_subject_has_no_number_of_is_refused():
    whole = result()
    metric = whole.dimensions[0].metrics[0]
    without = replace(whole.dimensions[0], metrics=(replace(metric, values=metric.values[:2]),))
    with pytest.raises(ConflictError, match=r"accuracy\.exact = 2: expected a number of every subject; none of full"):
        certificate(replace(whole, dimensions=(without,)), MANIFESTS, overlaps={})


@pytest.mark.parametrize("name", ["weights", "base", "code", "subject"])
def test_a_manifest_that_was_changed_by_hand_is_refused(name):
    with pytest.raises(IntegrityError, match="is not as it was written"):
        read({**told(MANIFESTS[1]), name: "other"})
    assert read(told(MANIFESTS[1])) == MANIFESTS[1]


def leaves(value, path=()):
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from leaves(one, (*path, index))
    else:
        yield path


def test_no_leaf_of_a_certificate_can_be_changed_unseen():
    document, whole = certificate(result(), MANIFESTS, overlaps={}), result()
    paths = list(leaves(document))
    assert len(paths) > 60
    for path in paths:
        other = copy.deepcopy(document)
        at = other
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = "other"
        with pytest.raises(IntegrityError):
            checked(other, whole)


def test_a_verdict_that_does_not_follow_from_the_numbers_is_found_even_under_a_fresh_digest():
    whole = result()
    rosy = replace(whole, verdicts=tuple(replace(one, verdict="better") for one in whole.verdicts))
    with pytest.raises(IntegrityError, match="do not follow from the numbers"):
        checked(certificate(rosy, MANIFESTS, overlaps={}), rosy)


def test_signatures_are_no_part_of_what_is_signed():
    document = certificate(result(), MANIFESTS, overlaps={})
    signed = {**document, "signatures": [{"by": "registry", "value": "x"}]}
    assert signable(signed) == signable(document)
    checked(signed, result())


def record(question, answer):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(messages=turns, origin=Origin("f", 1))


@pytest.mark.parametrize(
    ("question", "answer"), [("头痛怎么办？", "多休息"), ("头痛怎么办?", "多 休息"), ("\n头痛怎么办？ ", "多休息\n")]
)
def test_copies_are_found_whatever_their_width_case_and_white_space(question, answer):
    assert overlapping([record(question, answer)], [item(1, "头痛怎么办？", "多休息"), item(2, "咳嗽", "多休息")]) == (
        "1",
    )


def test_the_same_question_with_another_answer_is_no_copy_and_plain_texts_are_compared_as_such():
    text = Item(
        id="t", group="t", origin="", score=lambda _: {},
        questions=(Question(prompt=(), options=("Some Text",), is_text=True),),
    )  # fmt: skip
    plain = Record(messages=({"role": "text", "content": "some text"},), origin=Origin("f", 1))
    assert overlapping([record("q", "b"), plain], [item(1, "q", "a"), text]) == ("t",)
