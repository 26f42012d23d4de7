"""The folder of a run: which steps are done, from what, and what they left."""

import json
import time
from pathlib import Path

import pytest

from graftwork.core.errors import ConflictError, IntegrityError
from graftwork.pipeline.folder import Done, RunFolder

INPUTS = {"seed": 1, "files": ["a"]}


def folder_with_a_step(path: Path) -> RunFolder:
    folder = RunFolder(path)
    for name in ("a.txt", "b.txt"):
        (path / name).write_text(name)
    folder.record("prepare", INPUTS, ["b.txt", "a.txt"], {"num": 3}, time.monotonic())
    return folder


def test_a_step_on_record_is_still_done(tmp_path: Path):
    done = folder_with_a_step(tmp_path).still_done("prepare", INPUTS)
    assert done is not None
    assert done.summary == {"num": 3}
    assert list(done.outputs) == ["a.txt", "b.txt"]
    assert done.seconds >= 0


def test_a_step_is_still_done_for_another_process_and_for_inputs_in_another_order(tmp_path: Path):
    folder_with_a_step(tmp_path)
    assert RunFolder(tmp_path).still_done("prepare", dict(reversed(INPUTS.items())))


@pytest.mark.parametrize("inputs", [{**INPUTS, "seed": 2}, {"seed": 1}, {**INPUTS, "more": None}, {}])
def test_a_step_is_not_done_when_its_inputs_changed(tmp_path: Path, inputs: dict[str, object]):
    assert folder_with_a_step(tmp_path).still_done("prepare", inputs) is None


def test_a_step_is_not_done_when_a_file_it_left_changed(tmp_path: Path):
    folder = folder_with_a_step(tmp_path)
    (tmp_path / "b.txt").write_text("b.txT")
    assert folder.still_done("prepare", INPUTS) is None


def test_a_step_is_not_done_when_a_file_it_left_vanished(tmp_path: Path):
    folder = folder_with_a_step(tmp_path)
    (tmp_path / "a.txt").unlink()
    assert folder.still_done("prepare", INPUTS) is None


def test_a_step_is_done_again_once_its_file_is_restored(tmp_path: Path):
    folder = folder_with_a_step(tmp_path)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").write_text("a.txt")
    assert folder.still_done("prepare", INPUTS)


def test_a_file_that_belongs_to_no_step_does_not_matter(tmp_path: Path):
    folder = folder_with_a_step(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert folder.still_done("prepare", INPUTS)


def test_a_step_that_is_not_on_record_is_not_done(tmp_path: Path):
    assert RunFolder(tmp_path).steps() == {}
    assert folder_with_a_step(tmp_path).still_done("train", INPUTS) is None


def test_a_step_recorded_later_keeps_those_before_it(tmp_path: Path):
    folder = folder_with_a_step(tmp_path)
    folder.record("train", {"rate": 0.1}, [], {"loss": 1.5}, time.monotonic())
    assert list(RunFolder(tmp_path).steps()) == ["prepare", "train"]
    assert isinstance(RunFolder(tmp_path).steps()["prepare"], Done)


def test_a_step_done_again_replaces_its_record(tmp_path: Path):
    folder = folder_with_a_step(tmp_path)
    folder.record("prepare", {"seed": 2}, ["a.txt"], {"num": 4}, time.monotonic())
    assert folder.still_done("prepare", INPUTS) is None
    assert folder.steps()["prepare"].summary == {"num": 4}


STEP = {"inputs": "x", "outputs": {}, "summary": {}, "seconds": 1}


@pytest.mark.parametrize(
    "state",
    [
        "{",
        "[]",
        "{}",
        '{"format": 1, "steps": []}',
        '{"format": 1, "steps": {"prepare": {}}}',
        json.dumps({"format": 1, "steps": {"prepare": {**STEP, "more": 1}}}),
    ],
)
def test_a_record_that_is_not_as_it_was_written_is_refused(tmp_path: Path, state: str):
    (tmp_path / "run.json").write_text(state)
    with pytest.raises(IntegrityError) as caught:
        RunFolder(tmp_path).steps()
    assert str(tmp_path / "run.json") in str(caught.value)


def test_a_record_of_another_format_is_refused(tmp_path: Path):
    (tmp_path / "run.json").write_text(json.dumps({"format": 2, "steps": {"prepare": STEP}}))
    with pytest.raises(IntegrityError):
        RunFolder(tmp_path).steps()


def test_a_record_whose_outputs_are_no_mapping_is_refused(tmp_path: Path):
    inputs = folder_with_a_step(tmp_path).steps()["prepare"].inputs
    state = {"format": 1, "steps": {"prepare": {**STEP, "inputs": inputs, "outputs": 5}}}
    (tmp_path / "run.json").write_text(json.dumps(state))
    with pytest.raises(IntegrityError):
        RunFolder(tmp_path).still_done("prepare", INPUTS)


def test_what_is_set_aside_is_kept_whole(tmp_path: Path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "x").write_text("old")
    kept = RunFolder(tmp_path).set_aside("adapter")
    assert kept == tmp_path / "superseded" / "adapter-1"
    assert (kept / "x").read_text() == "old"
    assert not (tmp_path / "adapter").exists()


def test_setting_aside_never_overwrites(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for content in ("one", "two", "three"):
        (tmp_path / "report.json").write_text(content)
        folder.set_aside("report.json")
    kept = sorted((tmp_path / "superseded").iterdir())
    assert [path.read_text() for path in kept] == ["one", "two", "three"]


def test_setting_aside_files_of_one_name_from_two_folders_keeps_both(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
        RunFolder(tmp_path).set_aside(f"{name}/x")
    assert sorted(p.read_text() for p in (tmp_path / "superseded").iterdir()) == ["a", "b"]


def test_setting_aside_what_is_not_there_does_nothing(tmp_path: Path):
    assert RunFolder(tmp_path).set_aside("adapter") is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_holder_is_refused_while_the_first_works(tmp_path: Path):
    with RunFolder(tmp_path / "run"), pytest.raises(ConflictError) as caught, RunFolder(tmp_path / "run"):
        pass
    assert str(caught.value) == f"{tmp_path / 'run'}: another process works in this run's folder. Wait for it."


def test_a_folder_is_free_again_after_its_holder_even_one_that_failed(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path):
        _ = 1 / 0
    with RunFolder(tmp_path) as folder:
        assert folder.path == tmp_path


def test_two_runs_in_different_folders_do_not_wait_for_each_other(tmp_path: Path):
    with RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b") as second:
        assert second.path.is_dir()


def test_a_file_where_the_folder_should_be_is_refused_in_our_words(tmp_path: Path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ConflictError), RunFolder(tmp_path / "run"):
        pass


def test_the_recipe_is_kept_beside_the_record(tmp_path: Path):
    RunFolder(tmp_path).keep_recipe("name: é\n")
    assert (tmp_path / "recipe.yaml").read_text("utf-8") == "name: é\n"
