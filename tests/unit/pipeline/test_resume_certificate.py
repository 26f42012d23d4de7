"""Where kills are aimed at, what is read from their traces, and what counts as the same."""

import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import ConflictError, SpecError, WorkError
from graftwork.core.spec import parse
from graftwork.pipeline.resume.aim import SHARES, next_aim
from graftwork.pipeline.resume.certificate import certify
from graftwork.pipeline.resume.journal import Journalist, read_journal
from graftwork.pipeline.resume.traces import doing, outcome
from graftwork.pipeline.spec import RunSpec


@given(seed=st.integers(0, 2**32), every=st.integers(1, 100))
def test_an_aim_is_within_its_bounds_and_drawn_from_the_seed_alone(seed, every):
    aim = next_aim(Random(seed), checkpoint_every=every)
    assert aim == next_aim(Random(seed), checkpoint_every=every)
    assert 0 <= aim.frac < 1
    assert 0 <= aim.steps_ahead <= 2 * every
    assert aim.moment == "step" or aim.steps_ahead % every == 0


def test_every_moment_is_drawn_as_often_as_it_should():
    draw = Random(0)
    drawn = Counter(next_aim(draw, checkpoint_every=1).moment for _ in range(4000))
    for moment, share in SHARES.items():
        assert drawn[moment] / 4000 == pytest.approx(share, abs=0.03)


def journal(path, *rows):
    told = Journalist(path)
    for row in rows:
        told.note(row)
    return read_journal(path)


BEGAN = {"first_step": 4, "num_steps": 12}


def test_a_journal_is_read_while_its_last_line_is_being_written(tmp_path):
    path = tmp_path / "j.jsonl"
    assert read_journal(path).first_step is None
    whole = journal(path, {"said": "loading"}, BEGAN, {"step": 5}, {"step": 6})
    assert (whole.first_step, whole.num_steps, whole.last_step, len(whole.step_times_s)) == (4, 12, 6, 3)
    with path.open("a") as file:
        file.write('{"step": 7, "at')
    assert read_journal(path) == whole


def test_of_several_stages_the_last_one_counts(tmp_path):
    told = journal(tmp_path / "j", {"first_step": 0, "num_steps": 9}, {"step": 9}, {"first_step": 0, "num_steps": 3})
    assert (told.first_step, told.num_steps, told.last_step) == (0, 3, 0)


CASES = {
    "starting": ([], ["step-00000004.safetensors"]),
    "in step 5": ([BEGAN], ["step-00000004.safetensors"]),
    "in step 6": ([BEGAN, {"step": 5}], ["step-00000004.safetensors"]),
    "before writing checkpoint 6": ([BEGAN, {"step": 5}, {"step": 6}], ["step-00000004.safetensors"]),
    "writing checkpoint 6": ([BEGAN, {"step": 6}], [".step-00000006.safetensors.ab12cd34"]),
    "in step 7": ([BEGAN, {"step": 6}], ["step-00000006.safetensors"]),
    "before writing checkpoint 12": ([BEGAN, {"step": 12}], ["step-00000010.safetensors"]),
    "after the last checkpoint": ([BEGAN, {"step": 12}], ["step-00000012.safetensors"]),
}


@pytest.mark.parametrize("expected", CASES)
def test_what_it_was_doing_is_read_from_what_it_left(tmp_path, expected):
    rows, files = CASES[expected]
    folder = tmp_path / "run" / "checkpoints" / "abc"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_bytes(b"")
    assert doing(tmp_path / "run", journal(tmp_path / "j", *rows), checkpoint_every=2) == expected


@pytest.fixture
def ended(tmp_path):
    """`ended(name)`: the folder of a finished training, always with the same in it."""

    def make(name):
        folder = tmp_path / name
        for path, content in {
            "adapter/graftwork.json": json.dumps({"digest": "d"}),
            "adapter/adapter_model.safetensors": "tensors",
            "checkpoints/abc/step-00000002.safetensors": "old",
            "checkpoints/abc/step-00000004.safetensors": "state",
            "metrics.jsonl": '{"step": 1, "loss_nats": 0.25, "seconds": 1.5}\n',
            ".lock": "",
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        return folder

    return make


MOVED = {
    "adapter/graftwork.json": ('{"digest": "e"}', ("adapter",)),
    "adapter/adapter_model.safetensors": ("tensorz", ("adapter",)),
    "checkpoints/abc/step-00000004.safetensors": ("another", ("state",)),
    "checkpoints/abc/step-00000006.safetensors": ("further", ("state",)),
    "metrics.jsonl": ('{"step": 1, "loss_nats": 0.26, "seconds": 1.5}\n', ("metrics",)),
    ".adapter-ab12cd34": ("half", ("torn files",)),
    "checkpoints/abc/.step-00000004.safetensors.x": ("half", ("torn files",)),
}


@pytest.mark.parametrize("path", MOVED)
def test_whatever_moved_is_called_a_difference(ended, path):
    content, expected = MOVED[path]
    folder = ended("killed")
    (folder / path).write_text(content)
    assert outcome(folder).differences(outcome(ended("whole"))) == expected


def test_times_are_no_difference_nor_are_older_checkpoints(ended):
    folder = ended("killed")
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss_nats": 0.25, "seconds": 9.0}\n')
    (folder / "checkpoints/abc/step-00000002.safetensors").unlink()
    assert outcome(folder).differences(outcome(ended("whole"))) == ()


def spec(**told):
    whole = {"name": "x", "base": "nowhere/at-all", "data": {"train": ["x.jsonl"]}, "adapter": {"method": "lora"}}
    return parse(RunSpec, {**whole, **told})


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for out in (tmp_path, tmp_path / "mine"):
        with pytest.raises(ConflictError, match="is there already"):
            certify(spec(), out=out, kills=1, seed=0)


def test_a_base_that_is_trained_itself_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"adapter\.method = 'full': expected an adapter"):
        certify(spec(adapter={"method": "full"}), out=tmp_path / "out", kills=1, seed=0)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_training_that_fails_by_itself_is_told_in_its_own_words(tmp_path, fresh):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkError, match=r"config\.json"):
        certify(spec(base=str(tmp_path / "empty")), out=tmp_path / "out", kills=1, seed=0, fresh=fresh)
