"""Accuracy and robustness over real held-out data in English and Chinese, where it is at hand."""

import json
from pathlib import Path

import pytest

from graftwork.data.records import Origin, Record
from graftwork.evaluation.dimension import DIMENSIONS, Given
from graftwork.evaluation.dimensions.accuracy import AccuracySpec
from graftwork.evaluation.dimensions.robustness import RobustnessSpec
from graftwork.evaluation.item import Reply
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS

DATA = Path(__file__).parents[4] / "shared" / "data"
SETS = {
    "banking77/test.jsonl": ("text", "label", 3080),
    "gsm8k/train.jsonl": ("question", "answer", 300),
    "mgsm/zh.jsonl": ("question", "answer", 250),
    "huatuo/medical_qa_zh.jsonl": ("instruction", "output", 300),
}
CHINESE = {"mgsm/zh.jsonl", "huatuo/medical_qa_zh.jsonl"}


@pytest.fixture(params=list(SETS))
def real(request):
    path = DATA / request.param
    if not path.is_file():
        pytest.skip(f"no {request.param} beside the project")
    asked, answered, count = SETS[request.param]
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:count]]
    held_out = [
        Record(
            messages=(
                {"role": "user", "content": str(row[asked])},
                {"role": "assistant", "content": str(row[answered])},
            ),
            origin=Origin(request.param, line),
        )
        for line, row in enumerate(rows, start=1)
    ]
    return request.param, Given(held_out=held_out, train=(), seed=0, max_new_tokens=64)


def expected_replies(item, answers):
    weigh = [
        Reply(nats=tuple(float(o != item.expected) for o in q.options), tokens=(1,) * len(q.options))
        for q in item.questions
    ]
    return [w if q.options else Reply(said=a) for q, w, a in zip(item.questions, weigh, answers, strict=True)]


def test_the_expected_answers_have_the_best_scores(real):
    name, given = real
    mark = "####" if name.startswith("gsm8k") else ""
    told = list(DIMENSIONS["accuracy"].items(AccuracySpec(final_after=mark), given))
    assert len(told) == 200
    assert len({item.id for item in told}) == 200
    for item in told:
        scores = item.score(expected_replies(item, [item.expected, ""]))
        assert all(score.total == pytest.approx(1) for key, score in scores.items() if key != "bits_per_byte"), item.id
        if name != "huatuo/medical_qa_zh.jsonl":
            assert scores["exact"].total == 1
    labels = {len(item.questions[1].options) for item in told}
    assert labels == ({77} if name.startswith("banking") else {1})


def test_every_disturbance_for_its_script_finds_something(real):
    name, given = real
    told = list(DIMENSIONS["robustness"].items(RobustnessSpec(), given))
    assert len(told) == 240
    assert len({item.group for item in told}) == 60
    seen = {item.slices["disturbance"] for item in told}
    script = "zh" if name in CHINESE else "latin"
    assert seen == {kind for kind in PERTURBATIONS if script in PERTURBATIONS[kind].scripts} - {"option_order"}
    for item in told:
        scores = item.score(expected_replies(item, [item.expected, item.expected, "", ""]))
        assert scores["similarity"].total == 1
        assert scores.get("accuracy", scores["similarity"]).total == 1
        assert "drop" not in scores or (scores["drop"].total, scores["flips"].total) == (0, 0)
