"""The flat example and the real path learn the same."""

import importlib.util
import json
from pathlib import Path

import pytest

from graftwork.cli.main import called

EXAMPLE = Path(__file__).parents[2] / "examples" / "flat_lora.py"


def test_the_flat_twin_reaches_the_same_losses(recipe, tiny_folder, tmp_path):
    spec = importlib.util.spec_from_file_location("flat_lora", EXAMPLE)
    twin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(twin)
    settings = ["adapter.dropout=0.0", f"training.steps={twin.STEPS}"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert called(["train", str(recipe), "--out", str(tmp_path / "out"), *words]) == 0
    told = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    ours = [row["loss_nats"] for row in told if row["kind"] == "step"]
    rows = [json.loads(line)["messages"] for line in (tmp_path / "out/data/train.jsonl").read_text().splitlines()]
    flat = tmp_path / "flat.jsonl"
    flat.write_text("".join(json.dumps({"prompt": q["content"], "completion": a["content"]}) + "\n" for q, a in rows))
    theirs = twin.flat_lora(str(tiny_folder), str(flat))
    assert ours == pytest.approx(theirs, rel=1e-4)  # float32, other order of sums; measured 2e-6


def test_the_flat_twin_stays_flat_and_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 200
