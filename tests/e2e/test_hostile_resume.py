"""Signals at the worst moments, disks that fill up, folders that cannot be written, two at once: nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.e2e.conftest import graftwork

from graftwork.cli.main import called, exit_code
from graftwork.cli.watching import Terminal
from graftwork.core.errors import ConflictError, Interrupted, WorkError
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet

STEPS = 24


def digest_in(folder):
    return json.loads((folder / "adapter" / "graftwork.json").read_text())["digest"]


def steps_in(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["step"] for row in rows if row.get("kind", "step") == "step"]


@pytest.fixture(scope="module")
def expected(finished):
    """The digest of the adapter that nobody disturbed; `recipe` asks for the same."""
    return digest_in(finished[0] / "run")


class Struck(Terminal):
    """A terminal whose user asks to stop at one moment, as `kill` or Ctrl-C does."""

    def __init__(self, moment, number):
        super().__init__()
        self.moment, self.number, self.struck = moment, number, False

    def strike(self, moment):
        if moment == self.moment and not self.struck:
            self.struck = True
            os.kill(os.getpid(), self.number)

    def preparing(self, label, done, total):
        super().preparing(label, done, total)
        self.strike("preparing")

    def say(self, text):
        super().say(text)
        if text.startswith("loading"):
            self.strike("loading")

    def training(self, done, total):
        super().training(done, total)
        self.strike("the first step")

    def step(self, report):
        super().step(report)
        if report.step == STEPS:
            self.strike("the last step")


MOMENTS = {
    "preparing": "interrupted before training",
    "loading": "interrupted before training",
    "the first step": f"saved after step 1 of {STEPS}",
    "the last step": "stopped: trained",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_asked_to_stop_at_any_moment_it_leaves_with_130_and_goes_on(recipe, expected, tmp_path, moment, number):
    out = tmp_path / "run"
    with Struck(moment, number) as watch, pytest.raises(Interrupted, match=MOMENTS[moment]) as stopped:
        run(recipe, out=out, until="train", watch=watch)
    assert watch.struck
    assert exit_code(stopped.value) == 130
    run(recipe, out=out, until="train")
    assert digest_in(out) == expected
    assert steps_in(out) == list(range(1, STEPS + 1))


class StruckWhileSaving(Terminal):
    """A terminal that gets a signal while a checkpoint is being written: a thread looks for the half-written file."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.seen = folder, threading.Event()

    def training(self, done, total):
        super().training(done, total)
        threading.Thread(target=self.look, daemon=True).start()

    def look(self):
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            if any(self.folder.glob("checkpoints/*/.step-[0-9]*")):
                os.kill(os.getpid(), signal.SIGTERM)
                self.seen.set()
                return


def test_asked_to_stop_while_it_saves_it_saves_and_goes_on(recipe, expected, tmp_path):
    out = tmp_path / "run"
    often = ["training.checkpoint_every=1"]
    with StruckWhileSaving(out) as watch, pytest.raises(Interrupted, match=r"saved after step \d+ of"):
        run(recipe, out=out, settings=often, until="train", watch=watch)
    assert watch.seen.is_set()
    assert not list(out.glob("checkpoints/*/.*"))
    run(recipe, out=out, until="train")
    assert digest_in(out) == expected


def mounted(folder, *options):
    """Whether a file system of its own could be mounted there; only root may."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    if not mounted(folder, "size=4m"):
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file):
    """Write until nothing more goes in."""
    while True:
        try:
            file.write(bytes(256))
        except OSError:
            return


class Filling(Quiet):
    """Fills the disk to the last byte after a step."""

    def __init__(self, disk, step):
        self.file, self.at = disk / "filler", step

    def step(self, report):
        if report.step == self.at:
            with self.file.open("wb", buffering=0) as file:
                fill(file)


def test_a_disk_that_fills_up_costs_only_the_steps_since_the_last_checkpoint(recipe, expected, small_disk):
    out = small_disk / "run"
    watch = Filling(small_disk, step=10)
    with pytest.raises(WorkError, match=r"No space left on device.*the same command goes on from it") as full:
        run(recipe, out=out, until="train", watch=watch)
    assert exit_code(full.value) == 1
    kept = sorted(path.name for path in out.glob("checkpoints/*/*"))
    assert kept == ["step-00000004.safetensors", "step-00000008.safetensors"]
    watch.file.unlink()
    run(recipe, out=out, until="train")
    assert digest_in(out) == expected
    assert steps_in(out) == list(range(1, STEPS + 1))


def test_a_disk_too_small_for_a_checkpoint_is_refused_before_a_step(recipe, small_disk, capsys):
    out = small_disk / "run"
    run(recipe, out=out, until="prepare")
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - (64 << 10)))
    assert called(["train", str(recipe), "--out", str(out)]) == 3
    said = capsys.readouterr().err
    assert "a checkpoint takes" in said
    assert "Nothing was trained" in said
    assert not (out / "metrics.jsonl").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_base_is_loaded(recipe, small_disk, capsys):
    (small_disk / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for name in ("run", "another"):
        assert called(["train", str(recipe), "--out", str(small_disk / name)]) == 1
        said = capsys.readouterr().err
        assert "Read-only file system" in said
        assert "loading" not in said


def test_checkpoints_that_cannot_be_written_are_told_of_before_a_step(recipe, tmp_path):
    run(recipe, out=tmp_path / "run", until="prepare")
    (tmp_path / "run" / "checkpoints").write_text("a file in the way")
    with pytest.raises(WorkError, match=r"no checkpoint could be written to .*Nothing was trained"):
        run(recipe, out=tmp_path / "run", until="train")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


class Meanwhile(Quiet):
    """Starts the same run a second time while the first one trains."""

    def __init__(self, again):
        self.again = again
        self.refusals = []

    def step(self, report):
        if report.step in (1, STEPS - 1):
            self.refusals.append(self.again())


def test_a_second_process_is_refused_and_the_first_one_is_not_disturbed(recipe, expected, tmp_path):
    out = tmp_path / "run"
    watch = Meanwhile(lambda: graftwork("train", recipe, "--out", out))
    run(recipe, out=out, until="train", watch=watch)
    assert [refused.returncode for refused in watch.refusals] == [2, 2]
    assert all("another process works in this run's folder" in refused.stderr for refused in watch.refusals)
    assert digest_in(out) == expected
    assert steps_in(out) == list(range(1, STEPS + 1))


def test_a_process_killed_while_it_held_the_folder_does_not_keep_it(recipe, tmp_path):
    out = tmp_path / "run"
    program = (
        "import os, signal, sys; from pathlib import Path; from graftwork.pipeline.folder import RunFolder\n"
        "RunFolder(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(out)], check=False).returncode == -signal.SIGKILL
    run(recipe, out=out, until="prepare")


HALF = (".run.json.ab12cd_3", ".recipe.yaml.ab12cd_3", ".metrics.jsonl.ab12cd_3")
OTHERS = (".recipe.yaml.swp", ".notes.20261122", ".gitignore")


def test_what_a_killed_process_left_half_written_is_no_obstacle_and_is_cleared_away(recipe, expected, tmp_path):
    out = tmp_path / "run"
    (out / ".adapter-ab12cd_3" / "adapter").mkdir(parents=True)
    (out / ".adapter-ab12cd_3" / "adapter" / "adapter_model.safetensors").write_bytes(b"half an ada")
    (out / HALF[0]).write_text('{"format": 1, "st')
    run(recipe, out=out, until="prepare")
    for name in (*HALF, *OTHERS):
        (out / name).write_text("half")
    run(recipe, out=out, until="train")
    assert digest_in(out) == expected
    assert {path.name for path in out.glob(".*")} - {".lock"} == set(OTHERS), "what is not ours is let alone"


def test_a_folder_of_somebody_else_is_still_refused_and_let_alone(recipe, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for name in ("thesis.tex", HALF[0]):
        (out / name).write_text("mine")
    with pytest.raises(ConflictError, match=r"it holds thesis\.tex"):
        run(recipe, out=out, until="prepare")
    assert {path.name for path in Path(out).iterdir()} == {"thesis.tex", HALF[0], ".lock"}


def test_keeping_more_checkpoints_changes_nothing_about_the_adapter(recipe, expected, tmp_path):
    run(recipe, out=tmp_path / "run", settings=["training.keep_checkpoints=4"], until="train")
    assert digest_in(tmp_path / "run") == expected
    kept = sorted(path.name for path in (tmp_path / "run").glob("checkpoints/*/*"))
    assert kept == [f"step-{step:08d}.safetensors" for step in (12, 16, 20, 24)]
