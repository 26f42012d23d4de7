"""`graftwork resume-certificate`: real processes, really killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.conftest import graftwork

from graftwork.core.digests import digest

KILLS = 12


@pytest.fixture
def often(recipe):
    """A recipe that saves often."""
    recipe.write_text(recipe.read_text().replace("checkpoint_every: 4", "checkpoint_every: 2"))
    return recipe


def test_killed_at_random_moments_it_ends_with_the_same_bytes(often, tmp_path):
    out = tmp_path / "certificate"
    done = graftwork("resume-certificate", often, "--kills", KILLS, "--seed", 5, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["is_same"] is True
    assert told["started"] == "forked"
    assert [one["number"] for one in told["kills"]] == list(range(1, KILLS + 1))
    assert all(not one["differences"] for one in told["trainings"])
    assert {one["adapter_digest"] for one in told["trainings"]} == {told["adapter_digest"]}
    assert told["adapter_digest"] == json.loads((out / "whole/adapter/graftwork.json").read_text())["digest"]
    assert any("writing checkpoint" in one["doing"] for one in told["kills"])
    assert any((one["resumed_from"] or 0) > 0 for one in told["kills"])
    assert not list(out.glob("killed-*"))
    held = json.loads((out / "certificate.json").read_text())
    said = held.pop("digest")
    assert said == told["digest"] == digest(held)
    assert {"torch", "safetensors", "python"} <= held["versions"].keys()
    assert {"processor", "cores", "architecture"} <= held["machine"].keys()


def test_each_started_from_nothing_and_said_for_people(often, tmp_path):
    done = graftwork("resume-certificate", often, "--kills", 1, "--fresh", "--out", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 kills lie in trainings that ended with the same bytes" in " ".join(done.stdout.split())
    assert json.loads((tmp_path / "c" / "certificate.json").read_text())["started"] == "fresh"


SRC = Path(__file__).parents[2] / "src" / "graftwork"
REMEMBERS = "optimizer.state[param] = {"


@pytest.fixture
def forgetful(tmp_path):
    """Where a copy of the package lies whose resumed runs have lost the optimizer's moments."""
    shutil.copytree(SRC, tmp_path / "path" / "graftwork", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "path" / "graftwork" / "training" / "checkpoints.py"
    assert REMEMBERS in file.read_text()
    file.write_text(file.read_text().replace(REMEMBERS, "_ = {"))
    return tmp_path / "path"


def test_a_resume_that_forgets_something_is_found_out(often, tmp_path, forgetful):
    out = tmp_path / "c"
    words = ["resume-certificate", str(often), "--kills", "6", "--seed", "2", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "graftwork.cli", *words],
        env={**os.environ, "PYTHONPATH": str(forgetful)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    told = json.loads((out / "certificate.json").read_text())
    assert told["is_same"] is False
    moved = [one for one in told["trainings"] if one["differences"]]
    assert {"adapter", "state", "metrics"} <= set(moved[0]["differences"])
    assert Path(moved[0]["folder"]).is_dir(), "what differs is kept to be looked at"
    assert "otherwise: adapter, state, metrics" in " ".join(done.stdout.split())


def at_work_in(folder):
    """Processes with a command that names the folder's request."""
    found = []
    for told in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found += [told] if str(folder / "request.json").encode() in told.read_bytes() else []
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc to look at processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_asked_to_stop_it_ends_all_of_its_processes(often, tmp_path, number):
    out = tmp_path / "c"
    command = [sys.executable, "-m", "graftwork.cli", "resume-certificate", str(often), "--kills", "99999"]
    with subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(list(out.glob("journals/*"))) < 3:
            time.sleep(0.01)  # another process; nothing here can be waited on
        assert at_work_in(out)
        process.send_signal(number)
        said = process.communicate()[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not at_work_in(out)
