"""Where the next kill is meant to fall. Pure: a function of random numbers that are given."""

from dataclasses import dataclass
from random import Random
from typing import Literal

Moment = Literal["start", "step", "write", "end"]

SHARES: dict[Moment, float] = {"start": 0.15, "step": 0.4, "write": 0.4, "end": 0.05}
"""How often each is drawn. Writing is a small part of a run's time, so moments drawn evenly would hardly meet it."""
WRITES_AHEAD = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """When to kill a process that trains.

    Attributes:
        moment: before the first step; in a step; while a checkpoint is being written; after the last checkpoint.
        steps_ahead: steps, beyond where it went on from, that are let pass before.
        frac: how far into the moment, of the time that it took when nothing was killed.
    """

    moment: Moment
    steps_ahead: int
    frac: float


def next_aim(draw: Random, *, checkpoint_every: int) -> Aim:
    """Draw the next one. It leaves a few steps between kills, so a training is killed often and gets to its end."""
    moment = draw.choices(list(SHARES), weights=list(SHARES.values()))[0]
    steps = draw.randrange(2 * checkpoint_every + 1)
    writes = draw.randrange(WRITES_AHEAD) * checkpoint_every
    ahead = {"start": 0, "step": steps, "write": writes, "end": 0}[moment]
    return Aim(moment=moment, steps_ahead=ahead, frac=draw.random())
