"""A process of a team, for tests: `team_of.py RANK SIZE PORT FOLDER` writes down what it got; the last one dies."""

import os
import sys
from pathlib import Path

import torch
from torch.distributed import TCPStore

from graftwork.core.errors import CapacityError, GraftworkError
from graftwork.training.distributed import joined
from graftwork.training.team import ALONE

NUM_LEAVES, NUM_MICROS = 5, 7


def leaves_and_work(dtype=torch.float32):
    """Leaves, and what each micro-batch adds to them: no sum of these is the same in another order. Leaf 3 gets a
    gradient in the fifth micro-batch alone, leaf 4 never."""
    leaves = [torch.zeros(3 + i, 4, dtype=dtype, requires_grad=True) for i in range(NUM_LEAVES)]

    def one(index):
        generator = torch.Generator().manual_seed(index)
        touched = [leaf for i, leaf in enumerate(leaves) if i < 3 or (i == 3 and index == 4)]
        loss = sum(
            (leaf * torch.randn(leaf.shape, dtype=dtype, generator=generator) * 10 ** (index % 4)).sum()
            for leaf in touched
        )
        loss.backward()
        return float(torch.randn((), dtype=torch.float64, generator=generator))

    return leaves, one


def sums(team):
    """Losses and gradients of two steps; the second begins with gradients that are there already."""
    leaves, one = leaves_and_work()
    losses = team.accumulated(NUM_MICROS, leaves, one) + team.accumulated(2, leaves, one)
    return losses, [leaf.grad for leaf in leaves]


def drifted(team, rank):
    leaves, one = leaves_and_work()
    with torch.no_grad():
        leaves[2][1, 1] += 1e-7 * rank
    team.accumulated(2, leaves, one)


def failed(team):
    leaves, one = leaves_and_work()

    def until_fifth(index):
        if index == 5:
            raise CapacityError("no room for number 5")
        return one(index)

    team.accumulated(NUM_MICROS, leaves, until_fifth)


def dies(team, rank):
    leaves, one = leaves_and_work()

    def last_dies(index):
        if rank == team.size - 1 and index > 2:
            os._exit(9)
        return one(index)

    team.accumulated(NUM_MICROS, leaves, last_dies)


def raised(work):
    """The kind and the words of what it raises."""
    try:
        work()
    except GraftworkError as error:
        return type(error).__name__, str(error)
    return None


def main(rank, size, port, folder):
    store = TCPStore("127.0.0.1", port, is_master=rank == 0, wait_for_workers=False)
    cpu = torch.device("cpu")
    with joined(store, rank=rank, size=size, device=cpu, lost=lambda: "Somebody is gone.") as team:
        told = {
            "together": sums(team),
            "alone": sums(ALONE),
            "any of": [team.any_of(rank == 1), team.any_of(False)],
            "each": team.each(rank),
            "drifted": raised(lambda: drifted(team, rank)),
            "failed": raised(lambda: failed(team)),
        }
        told["died"] = raised(lambda: dies(team, rank))
        torch.save(told, Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), sys.argv[4])
