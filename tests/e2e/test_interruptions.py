"""A run killed at any moment goes on and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.e2e.conftest import graftwork


def digest_in(folder):
    return json.loads((folder / "adapter" / "graftwork.json").read_text())["digest"]


def started(recipe, out):
    command = [sys.executable, "-m", "graftwork.cli", "train", str(recipe), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_steps(process, out, count):
    """Until `count` steps are in the metrics; polls, because the file is all that another process shows."""
    metrics = out / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and metrics.read_text().count("\n") >= count:
            return
        time.sleep(0.005)  # polling another process; nothing here can be waited on
    raise AssertionError(process.stderr.read())


@pytest.fixture
def long_recipe(recipe):
    """Enough steps that a signal arrives before the end."""
    recipe.write_text(recipe.read_text().replace("steps: 24", "steps: 150"))
    return recipe


@pytest.fixture
def uninterrupted(long_recipe, tmp_path):
    done = graftwork("train", long_recipe, "--out", tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    return digest_in(tmp_path / "whole")


def test_killed_and_started_again_it_ends_with_the_same_adapter(long_recipe, uninterrupted, tmp_path):
    out = tmp_path / "killed"
    for steps in (10, 60):
        with started(long_recipe, out) as process:
            wait_for_steps(process, out, steps)
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "adapter").exists()
    again = graftwork("train", long_recipe, "--out", out)
    assert again.returncode == 0, again.stderr
    assert "going on from the checkpoint of step" in again.stderr
    assert digest_in(out) == uninterrupted
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if row["kind"] == "step"]
    assert steps == list(range(1, 151)), "no step is missing from the metrics, none is there twice"


def test_asked_to_stop_it_saves_and_leaves_with_130(long_recipe, uninterrupted, tmp_path):
    out = tmp_path / "stopped"
    with started(long_recipe, out) as process:
        wait_for_steps(process, out, 10)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode == 130, said
    assert "saved after step" in said
    assert graftwork("train", long_recipe, "--out", out).returncode == 0
    assert digest_in(out) == uninterrupted
