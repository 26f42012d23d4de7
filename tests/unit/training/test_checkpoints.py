"""A checkpoint is used when it is whole and ours, and passed over with a reason when it is not."""

import json
import os
import resource
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from graftwork.core.errors import CapacityError, IntegrityError, WorkError
from graftwork.training.checkpoints import (
    KEPT,
    Keeping,
    checkpoint_bytes,
    refuse_unwritable,
    restore_newest,
    restore_step,
    said_at,
    save_checkpoint,
)

NAME = "step-{:08d}.safetensors"


class State:
    """Two parameters and their optimizer after some steps."""

    def __init__(self, steps=0):
        draw = torch.Generator().manual_seed(0)
        self.params = {
            name: torch.randn(shape, generator=draw).requires_grad_() for name, shape in (("a", (2, 3)), ("b/c", (4,)))
        }
        self.optimizer = torch.optim.AdamW(self.params.values(), lr=0.1, fused=True)
        self.advance(steps)

    def advance(self, steps):
        for _ in range(steps):
            sum(p.square().sum() for p in self.params.values()).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return self

    def save(self, folder, step, job="job", **keeping):
        told = {"keeping": Keeping(**keeping)} if keeping else {}
        return save_checkpoint(folder, step=step, job=job, params=self.params, optimizer=self.optimizer, **told)

    def restore(self, folder, job="job"):
        return restore_newest(folder, job=job, params=self.params, optimizer=self.optimizer)

    def tensors(self):
        for param in self.params.values():
            yield param.detach().clone()
            yield from (value.clone() for value in self.optimizer.state[param].values())


def same(a, b):
    return all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a.tensors(), b.tensors(), strict=True))


def tear(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    spoilt = bytearray(path.read_bytes())
    spoilt[-2] ^= 4
    path.write_bytes(bytes(spoilt))


def test_a_restored_state_goes_on_bit_for_bit(tmp_path):
    whole, first, second = State(10), State(5), State()
    first.save(tmp_path, 5)
    assert second.restore(tmp_path) == (5, [])
    assert same(first, second)
    assert same(whole, second.advance(5))


def test_without_the_optimizer_it_would_not(tmp_path):
    whole, first, second = State(10), State(5), State()
    first.save(tmp_path, 5)
    second.restore(tmp_path)
    second.optimizer.state.clear()
    assert not same(whole, second.advance(5))


def test_a_folder_with_nothing_starts_at_nothing(tmp_path):
    fresh = State()
    assert fresh.restore(tmp_path) == (0, [])
    assert fresh.restore(tmp_path / "not there") == (0, [])
    assert same(fresh, State())


@pytest.mark.parametrize("spoil", [tear, flip, lambda path: path.write_bytes(b""), lambda path: path.write_text("no")])
def test_a_spoilt_one_is_passed_over_with_a_reason_for_the_one_before(tmp_path, spoil):
    older, newer, found = State(3), State(4), State()
    older.save(tmp_path, 3)
    path = newer.save(tmp_path, 4)
    spoil(path)
    step, (skipped,) = found.restore(tmp_path)
    assert step == 3
    assert same(found, older)
    assert skipped.path == path
    assert len(skipped.reason) > 10


def test_a_flipped_bit_is_called_what_it_is(tmp_path):
    flip(State(4).save(tmp_path, 4))
    step, (skipped,) = State().restore(tmp_path)
    assert (step, skipped.reason) == (0, "its bytes are not the ones that were written")


def test_when_all_are_spoilt_the_start_is_untouched(tmp_path):
    for step in (3, 4):
        tear(State(step).save(tmp_path, step))
    found = State()
    step, skipped = found.restore(tmp_path)
    assert (step, [one.path.name for one in skipped]) == (0, [NAME.format(4), NAME.format(3)])
    assert same(found, State())


def test_one_of_another_job_is_not_used(tmp_path):
    State(4).save(tmp_path, 4, job="another job of long ago")
    found = State()
    step, (skipped,) = found.restore(tmp_path)
    assert (step, skipped.reason) == (0, "it belongs to another job (another job )")
    assert same(found, State())


def test_a_step_that_was_rewritten_is_seen(tmp_path):
    path = State(4).save(tmp_path, 4)
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["graftwork"])
    save_file(load_file(path), path, metadata={"graftwork": json.dumps({**state, "step": 400})})
    assert State().restore(tmp_path)[0] == 0


@pytest.mark.parametrize(
    "metadata", [None, {"graftwork": "not json"}, {"graftwork": "[]"}, {"graftwork": "{}"}, {"graftwork": "3"}], ids=str
)
def test_a_file_of_others_is_passed_over_with_a_reason_in_words(tmp_path, metadata):
    older = State(3)
    older.save(tmp_path, 3)
    save_file({"x": torch.zeros(3)}, tmp_path / NAME.format(9), metadata=metadata)
    step, (skipped,) = State().restore(tmp_path)
    assert step == 3
    assert " " in skipped.reason


def test_a_folder_in_its_place_is_passed_over(tmp_path):
    State(3).save(tmp_path, 3)
    (tmp_path / NAME.format(9)).mkdir()
    assert State().restore(tmp_path)[0] == 3


def test_one_of_other_parameters_is_passed_over_and_changes_nothing(tmp_path):
    State(4).save(tmp_path, 4)
    found = State()
    found.params["more"] = torch.ones(2, requires_grad=True)
    before = {name: p.detach().clone() for name, p in found.params.items()}
    step, (skipped,) = found.restore(tmp_path)
    assert step == 0
    assert " " in skipped.reason
    assert all(torch.equal(before[name], p) for name, p in found.params.items())
    assert not any(found.optimizer.state.values())


def test_one_of_other_shapes_is_passed_over_and_changes_nothing(tmp_path):
    State(4).save(tmp_path, 4)
    found = State()
    found.params["b/c"] = torch.ones(5, requires_grad=True)
    step, (skipped,) = found.restore(tmp_path)
    assert step == 0
    assert " " in skipped.reason
    assert torch.equal(found.params["a"], State().params["a"])


def test_only_the_newest_are_kept(tmp_path):
    state = State(1)
    for step in range(1, 6):
        state.save(tmp_path, step)
    assert KEPT == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME.format(4), NAME.format(5)]


def test_a_new_one_is_kept_whatever_lies_beside_it(tmp_path):
    for step in (8, 9):
        tear(State(1).save(tmp_path, step))
    state = State()
    assert state.restore(tmp_path)[0] == 0
    path = state.advance(4).save(tmp_path, 4)
    assert path.is_file()
    assert State().restore(tmp_path)[0] == 4


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("newest", [1, 3])
def test_as_many_are_kept_as_asked_for(tmp_path, newest):
    for step in range(1, 7):
        State(1).save(tmp_path, step, newest=newest)
    assert names(tmp_path) == [NAME.format(step) for step in range(7 - newest, 7)]


@pytest.mark.parametrize("newest", [1, 2])
def test_the_best_one_is_never_dropped_until_another_is_the_best(tmp_path, newest):
    for step in range(1, 7):
        State(step).save(tmp_path, step, newest=newest, best_step=2 if step >= 2 else None)
    assert names(tmp_path) == [NAME.format(2), *(NAME.format(step) for step in range(7 - newest, 7))]
    found = State()
    restore_step(tmp_path, 2, job="job", params=found.params, optimizer=found.optimizer)
    assert same(found, State(2))
    State(7).save(tmp_path, 7, newest=newest, best_step=7)
    assert NAME.format(2) not in names(tmp_path)


def test_which_is_the_best_and_what_was_noted_is_told_with_the_state(tmp_path):
    state = State(4)
    state.save(tmp_path, 3, best_step=3, noted={"losses": [0.1, 0.25]})
    state.save(tmp_path, 4)
    assert said_at(tmp_path, 3) == Keeping(best_step=3, noted={"losses": [0.1, 0.25]})
    assert said_at(tmp_path, 4) == said_at(tmp_path, 0) == Keeping()


def test_a_best_one_that_is_torn_or_gone_is_refused_and_changes_nothing(tmp_path):
    tear(State(4).save(tmp_path, 4))
    for step in (4, 5):
        found = State()
        with pytest.raises(IntegrityError, match=NAME.format(step)):
            restore_step(tmp_path, step, job="job", params=found.params, optimizer=found.optimizer)
        assert same(found, State())


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    """The bytes of a checkpoint with a verdict and notes in it."""
    folder = tmp_path_factory.mktemp("whole")
    return State(4).save(folder, 4, best_step=2, noted={"losses": [0.5]}).read_bytes()


def assert_untouched_or_passed_over(folder, content):
    """Either the file is passed over in words and nothing moves, or what comes back is the state to the bit."""
    path = folder / NAME.format(4)
    path.write_bytes(content)
    found = State()
    step, passed = found.restore(folder)
    if step == 4:
        assert not passed
        assert same(found, State(4))
        assert said_at(folder, 4) == Keeping(best_step=2, noted={"losses": [0.5]})
    else:
        (one,) = passed
        assert one.path == path
        assert " " in one.reason
        assert same(found, State())
    return step


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_never_believed(tmp_path_factory, whole_file, place, change):
    spoilt = bytearray(whole_file)
    spoilt[int(place * len(spoilt))] ^= change
    assert_untouched_or_passed_over(tmp_path_factory.mktemp("changed"), bytes(spoilt))


def test_a_flipped_bit_is_seen_at_every_place(tmp_path, whole_file):
    believed = []
    for place in range(len(whole_file)):
        spoilt = bytearray(whole_file)
        spoilt[place] ^= 1
        if assert_untouched_or_passed_over(tmp_path, bytes(spoilt)):
            believed.append(place)
    assert believed == []


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), tail=st.binary(max_size=40))
def test_one_cut_off_anywhere_is_never_believed(tmp_path_factory, whole_file, place, tail):
    cut = whole_file[: int(place * len(whole_file))] + tail
    assert assert_untouched_or_passed_over(tmp_path_factory.mktemp("cut"), cut) == 0 or cut == whole_file


def test_one_of_another_format_is_called_what_it_is(tmp_path):
    path = State(4).save(tmp_path, 4)
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["graftwork"])
    save_file(load_file(path), path, metadata={"graftwork": json.dumps({**state, "format": 7})})
    step, (skipped,) = State().restore(tmp_path)
    assert (step, skipped.reason) == (0, "it is of format 7, written by another version; this one reads 1")


def test_an_old_one_under_a_newer_name_is_called_what_it_is(tmp_path):
    State(3).save(tmp_path, 3).rename(tmp_path / NAME.format(9))
    State(4).save(tmp_path, 4)
    step, (skipped,) = State().restore(tmp_path)
    assert (step, skipped.reason) == (4, "it is the checkpoint of step 3 under another's name")


@pytest.mark.parametrize("times", [(2e9, 1.0), (1.0, 2e9), (4e9, 4e9)], ids=["back", "forth", "the future"])
def test_a_clock_that_was_changed_changes_nothing(tmp_path, times):
    for step, at_s in zip((3, 4), times, strict=True):
        os.utime(State(step).save(tmp_path, step), (at_s, at_s))
    assert State().restore(tmp_path) == (4, [])


@contextmanager
def files_of_at_most(num_bytes):
    """The system refuses to write longer files, those of whoever runs the tests too, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_one_that_cannot_be_written_leaves_those_before_and_says_so(tmp_path):
    for step in (2, 3):
        State(step).save(tmp_path, step)
    with pytest.raises(WorkError) as refused, files_of_at_most(100):
        State(4).save(tmp_path, 4)
    assert str(refused.value) == (
        f"the checkpoint of step 4 could not be written to {tmp_path}: File too large. "
        "That of step 3 is kept. Make room there; the same command goes on from it."
    )
    assert names(tmp_path) == [NAME.format(2), NAME.format(3)]
    assert State().restore(tmp_path) == (3, [])


def test_the_first_one_that_cannot_be_written_says_that_there_is_none(tmp_path):
    with pytest.raises(WorkError, match="There is none before it"), files_of_at_most(100):
        State(4).save(tmp_path, 4)
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_written_is_refused_before_a_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkError, match=r"no checkpoint could be written to .*Nothing was trained"):
        refuse_unwritable(tmp_path / "file" / "checkpoints", State().params)
    refuse_unwritable(tmp_path / "checkpoints", State().params)
    assert names(tmp_path / "checkpoints") == []


def test_a_place_without_room_for_one_is_refused_before_a_step(tmp_path):
    huge = {"a": torch.empty(1 << 50, device="meta")}
    with pytest.raises(CapacityError, match=r"a checkpoint takes .* has room for .*Nothing was trained"):
        refuse_unwritable(tmp_path, huge)


def test_what_a_checkpoint_takes_is_told_before(tmp_path):
    state = State(4)
    for name in ("a", "b/c"):
        state.params[name] = torch.randn(300, 40).requires_grad_()
    state.optimizer = torch.optim.AdamW(state.params.values(), lr=0.1, fused=True)
    written = state.advance(1).save(tmp_path, 1).stat().st_size
    assert 0.98 * written < checkpoint_bytes(state.params) < 1.02 * written


def test_a_write_that_is_cut_off_leaves_the_one_before(tmp_path):
    State(3).save(tmp_path, 3)
    (tmp_path / f".{NAME.format(4)}.x7f").write_bytes(b"half a")
    assert State().restore(tmp_path) == (3, [])


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    State(steps=1).save(tmp_path, 1)
    (tmp_path / ".step-00000002.safetensors.x1y2").write_bytes(b"half")
    (tmp_path / ".step-00000003.safetensors.z3").mkdir()
    (tmp_path / ".step-00000003.safetensors.z3" / ".tmpAbc").write_bytes(b"half")
    assert State().restore(tmp_path)[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]
