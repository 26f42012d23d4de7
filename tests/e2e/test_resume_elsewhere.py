"""A training that goes on with other threads, or another library, than it began with: the same bytes, or it says so."""

import json
import os
import signal

import pytest
import torch
from tests.e2e.conftest import graftwork
from tests.e2e.test_hostile_resume import digest_in

from graftwork.cli.watching import Terminal
from graftwork.core.errors import Interrupted
from graftwork.pipeline import computing
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run
from graftwork.pipeline.together import run_together
from graftwork.pipeline.watch import Quiet


class StopsAfter(Terminal):
    """A terminal whose user asks to stop after a step."""

    def __init__(self, step):
        super().__init__()
        self.at = step

    def step(self, report):
        super().step(report)
        if report.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


class Listens(Quiet):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def begun(recipe, tmp_path):
    """A run that was stopped after step 9, computed with one thread."""
    assert torch.get_num_threads() == 1
    with StopsAfter(9) as watch, pytest.raises(Interrupted, match="saved after step 9"):
        run(recipe, out=tmp_path / "runs" / "tiny", until="train", watch=watch)
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def by_one(finished):
    return digest_in(finished[0] / "run")


def test_it_goes_on_with_the_threads_that_it_began_with(recipe, begun, by_one, two_threads):
    watch = Listens()
    run(recipe, out=begun, until="train", watch=watch)
    assert digest_in(begun) == by_one
    assert "threads: 1, not 2, as it was begun with 1; with others its last bits would be others" in watch.said
    assert torch.get_num_threads() == 2, "how many threads the caller has is not ours to change"
    assert json.loads((begun / "adapter" / "graftwork.json").read_text())["provenance"]["threads"] == 1


def test_so_it_does_when_it_goes_on_beside_others(recipe, begun, by_one, two_threads):
    other = recipe.with_name("other.yaml")
    other.write_text(recipe.read_text().replace("name: tiny", "name: other"))
    specs = [read_request(path, []) for path in (other, recipe)]
    run_together(specs, out=begun.parent, evaluates=False)
    assert digest_in(begun) == by_one


def test_from_the_command_line(recipe, begun, by_one):
    done = graftwork("train", recipe, "--out", begun, threads=2)
    assert done.returncode == 0, done.stderr
    assert digest_in(begun) == by_one
    assert "threads: 1, not 2" in done.stderr


def test_another_version_of_the_library_is_told(recipe, begun, monkeypatch):
    now = computing.computing_now()
    monkeypatch.setattr(computing, "computing_now", lambda: {**now, "torch": "9.9"})
    watch = Listens()
    run(recipe, out=begun, until="train", watch=watch)
    assert any(f"torch {now['torch']} then and 9.9 now" in text for text in watch.said), watch.said
