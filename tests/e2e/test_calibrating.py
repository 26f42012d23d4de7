"""`graftwork plan --calibrate`, from the measurement to a plan that has a time; at small sizes."""

import json

import pytest

from graftwork.cli.main import called
from graftwork.core.workers import usable_cores
from graftwork.pipeline import calibrate
from graftwork.pipeline.calibrate import profile_file, threads_here

SMALL = {
    "TOKENS": (4, 8), "MATRICES": ((16, 16), (32, 16)), "HEAD": (16, 64), "RANKS": (1, 4), "KEYS": (8, 16), "ROUNDS": 1,
}  # fmt: skip


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Small sizes, and a cache of its own."""
    for name, value in SMALL.items():
        monkeypatch.setattr(calibrate, name, value)
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "cache"))


def test_a_machine_that_was_measured_has_times_in_its_plans(small, recipe, tmp_path, capsys):
    words = ["plan", str(recipe), "--out", str(tmp_path / "run")]
    assert called(words) == 0
    before = capsys.readouterr().out
    assert "time: unknown here" in before
    assert "was not measured yet" in " ".join(before.split())
    assert called(["plan", "--calibrate", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(tmp_path / "cache" / "machine.json")
    assert list(told["gflops"]["float32"]) == ["4", "8"]
    assert all(rate > 0 for rates in told["gflops"].values() for rate in rates.values())
    assert called(words) == 0
    after = capsys.readouterr().out
    assert "a step" in next(line for line in after.splitlines() if line.startswith("time: "))
    assert "not measured" not in after


def test_with_a_recipe_the_plan_alone_is_the_answer(small, recipe, tmp_path, capsys):
    assert called(["plan", str(recipe), "--calibrate", "--out", str(tmp_path / "run"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["seconds"] > 0
    assert "GFLOP/s of products" in said.err
    assert profile_file().is_file()


@pytest.mark.parametrize(("told", "threads"), [("3", 3), ("2,1", 2), ("", None), ("many", None), ("0", None)])
def test_threads_are_those_of_the_environment_or_the_cores(monkeypatch, told, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert threads_here() == (threads or usable_cores())
