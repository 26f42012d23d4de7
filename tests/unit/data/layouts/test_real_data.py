"""Rows of real data sets: every one of them is a record, with no more said than a source can say."""

from pathlib import Path
from typing import Any

import pytest

from graftwork.core.spec import parse
from graftwork.data.layouts import recognise, record_of
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Row
from graftwork.data.sources.read import rows

DATA = Path(__file__).parents[5] / "shared" / "data"
COLD = {"fields": {"text": "TEXT"}, "labels": {"0": "正常", "1": "冒犯"}, "group": "topic"}
SETS: list[tuple[str, dict[str, Any], str, int]] = [
    ("banking77/train.jsonl", {}, "classification", 10_003),
    ("cold/dev.jsonl", COLD, "classification", 6_431),
    ("crosswoz", {}, "chat", 500),
    ("disc-finllm", {}, "alpaca", 400),
    ("gsm8k", {}, "question_answer", 7_473),
    ("huatuo", {}, "alpaca", 7_000),
    ("medquad", {}, "question_answer", 6_000),
    ("mgsm", {}, "question_answer", 250),
    ("preference", {}, "preference", 600),
    (
        "pubmedqa",
        {"fields": {"question": "QUESTION", "context": "CONTEXTS", "answer": "LONG_ANSWER"}},
        "question_answer",
        1_000,
    ),
    ("tools", {}, "sharegpt", 300),
    ("winobias", {}, "text", 792),
]


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets for tests are not beside this project")
@pytest.mark.parametrize(("path", "asked", "layout", "num_rows"), SETS, ids=[name for name, *_ in SETS])
def test_every_row_is_a_record(path: str, asked: dict[str, Any], layout: str, num_rows: int):
    source = parse(SourceSpec, {"path": str(DATA / path), **asked})
    found = [one for one in rows(source) if isinstance(one, Row)]
    assert recognise(found[:100]) == layout
    made = [record_of(row, layout, source, system=None, source_number=0) for row in found]
    assert sum(isinstance(one, Record) for one in made) == num_rows == len(found)
    if path == "tools":
        assert any(record.tools for record in made if isinstance(record, Record))
    if path == "preference":
        assert all(record.rejected for record in made if isinstance(record, Record))
