"""A checkpoint is used when it is whole and ours, and passed over with a reason when it is not."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from graftwork.training.checkpoints import KEPT, restore_newest, save_checkpoint

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

    def save(self, folder, step, job="job"):
        return save_checkpoint(folder, step=step, job=job, params=self.params, optimizer=self.optimizer)

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


def test_a_write_that_is_cut_off_leaves_the_one_before(tmp_path):
    State(3).save(tmp_path, 3)
    (tmp_path / f".{NAME.format(4)}.x7f").write_bytes(b"half a")
    assert State().restore(tmp_path) == (3, [])


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    State(steps=1).save(tmp_path, 1)
    (tmp_path / ".step-00000002.safetensors.x1y2").write_bytes(b"half")
    assert State().restore(tmp_path)[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]
