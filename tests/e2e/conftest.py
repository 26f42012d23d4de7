"""A tiny base and a recipe for it, made once."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from tests.support.tiny_base import make_base

RECIPE = """\
name: tiny
base: {base}
dtype: float32
data: {{train: records.jsonl, evaluation: {{fraction: 0.2}}}}
adapter: {{rank: 4, dropout: 0.1}}
training: {{steps: 24, batch_size: 4, accumulation: 2, learning_rate: 3e-3, seed: 3, checkpoint_every: 4}}
evaluation: {{answers: 6, max_new_tokens: 6, batch_size: 4}}
"""


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture
def recipe(tmp_path, tiny_folder):
    """A recipe that works, its records beside it."""
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in ("ab", "cd", "ef") for n in range(12)]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(base=tiny_folder))
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_folder):
    """The folder of a run that went through without interruption, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in ("ab", "cd", "ef") for n in range(12)]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tiny.yaml").write_text(RECIPE.format(base=tiny_folder))
    done = graftwork("run", folder / "tiny.yaml", "--out", folder / "run", "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture
def run_copy(tmp_path, finished):
    """A copy of the finished run that a test may spoil."""
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    return tmp_path / "run"


def graftwork(*words, threads=1):
    """The command line as a user starts it, computing with as many threads as this process: the last bits follow."""
    command = [sys.executable, "-m", "graftwork.cli", *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env)
