"""Several processes add up a step's gradients as one does, bit for bit; what goes wrong in one is told in all."""

import socket
import subprocess
import sys

import pytest
import torch
from tests.support import team_of

from graftwork.training.team import ALONE, round_of


@pytest.fixture(scope="module", params=[2, 3])
def team(request, tmp_path_factory):
    """What each process of a team wrote down, None for the last, which dies; and their exit codes."""
    size, folder = request.param, tmp_path_factory.mktemp("team")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = [[sys.executable, team_of.__file__, *map(str, (rank, size, port, folder))] for rank in range(size)]
    processes = [subprocess.Popen(command) for command in commands]
    codes = [process.wait(timeout=300) for process in processes]
    files = [folder / f"{rank}.pt" for rank in range(size)]
    return [torch.load(file) if file.exists() else None for file in files], codes


def test_gradients_and_losses_are_those_of_one_process_bit_for_bit(team):
    for told in team[0][:-1]:
        (losses, grads), (losses_alone, grads_alone) = told["together"], told["alone"]
        assert losses == losses_alone
        for grad, alone in zip(grads[:4], grads_alone[:4], strict=True):
            assert torch.equal(grad.view(torch.int32), alone.view(torch.int32))
        assert grads[4] is grads_alone[4] is None, "a leaf that nobody touched has no gradient, and is not decayed"


def test_these_sums_would_differ_in_another_order():
    leaves, one = team_of.leaves_and_work()
    ALONE.accumulated(team_of.NUM_MICROS, leaves, one)
    again, one = team_of.leaves_and_work()
    for index in reversed(range(team_of.NUM_MICROS)):
        one(index)
    assert not torch.equal(leaves[0].grad, again[0].grad)


def test_they_hear_each_other(team):
    for told in team[0][:-1]:
        assert told["any of"] == [True, False]
        assert told["each"] == list(range(len(team[1])))


def test_an_adapter_that_has_drifted_is_seen_by_all_before_the_step(team):
    words = "the processes do not hold the same adapter any more. Nothing of this step was kept."
    assert [told["drifted"] for told in team[0][:-1]] == [("IntegrityError", words)] * (len(team[1]) - 1)


def test_what_fails_in_one_is_raised_in_all(team):
    assert all(told["failed"] == ("CapacityError", "no room for number 5") for told in team[0][:-1])


def test_when_one_dies_the_others_are_told(team):
    told, codes = team
    assert codes == [0] * (len(codes) - 1) + [9]
    words = "Somebody is gone. The last checkpoint is kept; the same command goes on from it."
    assert [one["died"] for one in told[:-1]] == [("Gone", words)] * (len(codes) - 1)
    assert told[-1] is None


def test_every_micro_batch_is_computed_once():
    for size in (1, 2, 3, 5):
        for number in (1, 4, 6):
            firsts = range(0, number, size)
            done = [round_of(first, rank=rank, size=size, number=number) for first in firsts for rank in range(size)]
            assert [index for index in done if index is not None] == list(range(number))
