"""Several processes train one adapter and end with the bytes of one; when one dies, all end in words."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.e2e.conftest import RECIPE, graftwork

PATIENCE_S = 120
"""Beyond this it hangs; nothing here takes as long."""


def digest_in(folder):
    return json.loads((folder / "adapter" / "graftwork.json").read_text())["digest"]


def metrics_in(folder):
    """All that the metrics say but how long it took."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def trained(recipe, out, *words):
    done = graftwork("train", recipe, "--out", out, *words)
    assert done.returncode == 0, done.stderr
    return done


def started(recipe, out, *words):
    command = [sys.executable, "-m", "graftwork.cli", "train", str(recipe), "--out", str(out), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def helpers_of(pid):
    """Process numbers of the children that help."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "help_parent" in Path(f"/proc/{child}/cmdline").read_text()]


def is_gone(pid):
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(is_so):
    """Polls other processes, which nothing here can be waited on for."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s, "it hangs"
        time.sleep(0.01)


def wait_for_steps(process, out, count):
    metrics = out / "metrics.jsonl"
    wait_until(lambda: process.poll() is not None or (metrics.exists() and metrics.read_text().count("\n") >= count))
    assert process.poll() is None, process.stderr.read()


@pytest.fixture(scope="module", autouse=True)
def _as_many_threads_each():
    """Within a product the bits may depend on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_folder):
    """A recipe, its records beside it, and what one process makes of it in `one`.

    Three micro-batches a step: of two processes one has nothing to do in the second round.
    """
    folder = tmp_path_factory.mktemp("alone")
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in ("ab", "cd", "ef") for n in range(12)]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = RECIPE.format(base=tiny_folder).replace("accumulation: 2", "accumulation: 3")
    (folder / "tiny.yaml").write_text(text.replace("steps: 24", "steps: 60"))
    trained(folder / "tiny.yaml", folder / "one")
    return folder


@pytest.fixture
def recipe(alone):
    return alone / "tiny.yaml"


@pytest.fixture
def one(alone):
    """The folder of the run of one process."""
    return alone / "one"


def test_two_processes_end_with_the_adapter_of_one(recipe, one, tmp_path):
    done = trained(recipe, tmp_path / "two", "--processes", "2")
    assert "2 processes share each step" in done.stderr
    assert digest_in(tmp_path / "two") == digest_in(one)
    assert metrics_in(tmp_path / "two") == metrics_in(one)
    again = trained(recipe, tmp_path / "two", "--processes", "2")
    assert "train: done already" in again.stderr
    assert "processes" not in again.stderr, "nobody is called for what is done"


def test_torchrun_may_start_them(recipe, one, tmp_path):
    words = ["-m", "graftwork.cli", "run", str(recipe), "--json", "--out", str(tmp_path / "many")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3"]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert digest_in(tmp_path / "many") == digest_in(one)
    assert json.loads(done.stdout)["steps"].keys() >= {"train", "evaluate"}, "one of them speaks"


CHANGES = {
    "dora, recomputed": ("adapter.method=dora", "training.gradient_checkpointing=true"),
    "pissa": ("adapter.method=pissa", "adapter.dropout=0"),
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_base_that_is_spread_gives_the_same_adapter_and_the_same_answers(recipe, tmp_path, changes):
    settings = [word for change in (*changes, "training.steps=3") for word in ("--set", change)]
    for out, words in (("one", ()), ("two", ("--processes", "2", "--shard-base"))):
        done = graftwork("run", recipe, "--out", tmp_path / out, *settings, *words)
        assert done.returncode == 0, done.stderr
    assert digest_in(tmp_path / "two") == digest_in(tmp_path / "one")
    first, second = (json.loads((tmp_path / out / "evaluation.json").read_text()) for out in ("one", "two"))
    assert first == second


def test_a_killed_helper_ends_the_run_and_one_process_goes_on(recipe, one, tmp_path):
    out = tmp_path / "killed"
    with started(recipe, out, "--processes", "3") as process:
        wait_for_steps(process, out, 10)
        first, second = helpers_of(process.pid)
        os.kill(second, signal.SIGKILL)
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 1, said
    assert "Process 2 was killed (SIGKILL)" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert is_gone(first)
    assert not (out / "adapter").exists()
    again = trained(recipe, out)
    assert "going on from the checkpoint of step" in again.stderr
    assert digest_in(out) == digest_in(one)


def test_when_the_first_is_killed_its_helpers_leave_and_two_go_on(recipe, one, tmp_path):
    out = tmp_path / "killed"
    with started(recipe, out, "--processes", "3") as process:
        wait_for_steps(process, out, 10)
        helpers = helpers_of(process.pid)
        process.kill()
    assert len(helpers) == 2
    wait_until(lambda: all(map(is_gone, helpers)))
    again = trained(recipe, out, "--processes", "2")
    assert "going on from the checkpoint of step" in again.stderr
    assert digest_in(out) == digest_in(one)
    assert metrics_in(out) == metrics_in(one)


def test_asked_to_stop_all_stop_after_the_same_step(recipe, tmp_path):
    out = tmp_path / "stopped"
    with started(recipe, out, "--processes", "2") as process:
        wait_for_steps(process, out, 10)
        helpers = helpers_of(process.pid)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 130, said
    assert "saved after step" in said
    assert all(map(is_gone, helpers))


def test_what_cannot_be_done_by_several_is_refused_before_anything_is_spent(recipe, tmp_path):
    done = graftwork("train", recipe, "--out", tmp_path / "out", "--shard-base", "--set", "quantised=int8")
    assert done.returncode == 2
    assert "--shard-base = True: expected more than one process" in done.stderr
    assert "quantised = 'int8': expected off with --shard-base" in done.stderr
    full = recipe.with_name("full.yaml")  # its records lie beside it
    full.write_text(recipe.read_text().replace("adapter: {rank: 4, dropout: 0.1}", "adapter: {method: full}"))
    done = graftwork("train", full, "--out", tmp_path / "out", "--processes", "2")
    assert done.returncode == 2
    assert "adapter.method = 'full': expected a method that trains an adapter, with several processes" in done.stderr
    assert not (tmp_path / "out").exists()
