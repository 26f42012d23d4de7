"""Hundreds of malformed files through `graftwork prepare`: no traceback, no good record lost, sums that add up."""

import json
from collections import Counter

import pytest
from tests.support.malformed import pair, write_all

from graftwork.cli.main import called

OFF = ("encoding", "whitespace", "empty", "repetition", "symbols", "boilerplate", "contradictions", "duplicates")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, tiny_folder):
    """Every file, and what preparing them all left."""
    folder = tmp_path_factory.mktemp("malformed")
    (folder / "files").mkdir()
    files = write_all(folder / "files", seed=0)
    sources = [{"path": f"files/{file.name}", "encoding": file.encoding} for file in files]
    quality = dict.fromkeys((*OFF, "near_duplicates", "leakage"), "off")
    asked = {
        "name": "malformed",
        "base": str(tiny_folder),
        "data": {"train": sources, "layout": "prompt_completion", "quality": quality, "privacy": {"mode": "mask"}},
        "adapter": {"rank": 2},
    }
    (folder / "malformed.yaml").write_text(json.dumps(asked))
    code = called(["prepare", str(folder / "malformed.yaml"), "--out", str(folder / "run")])
    assert code == 0
    return files, folder / "run" / "data"


def read(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def test_every_good_record_is_used_once_and_unharmed(prepared):
    files, data = prepared
    expected = Counter((file.name, *pair(number)) for file in files for number in file.good)
    used = [one for side in ("train", "evaluation") for one in read(data / f"{side}.jsonl")]
    assert Counter((one["origin"]["file"], *(m["content"] for m in one["messages"])) for one in used) == expected


def test_every_bad_row_is_in_quarantine_with_file_and_line(prepared):
    files, data = prepared
    kept_back = {}
    for one in read(data / "quarantine.jsonl"):
        assert one["reason"]
        assert one["detail"]
        kept_back.setdefault(one["file"], []).append(one["line"])
    for file in files:
        if file.bad is None:
            assert kept_back.get(file.name), file.name
        else:
            assert kept_back.get(file.name, []) == list(file.bad), file.name


def test_the_sums_add_up(prepared):
    _, data = prepared
    report = json.loads((data / "report.json").read_text("utf-8"))
    kept_back = sum(sum(step["quarantined"].values()) for step in report["flow"])
    used = report["train"]["num_records"] + report["evaluation"]["num_records"]
    assert report["num_rows"] == kept_back + used
    assert len(read(data / "quarantine.jsonl")) == kept_back
    assert sum(one["num_rows"] for one in report["sources"]) == report["num_rows"]
