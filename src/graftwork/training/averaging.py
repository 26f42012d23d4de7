"""An average over the steps: the adapter that is written is the mean of the tensors after each, newer ones more.

    average_t = (1 - d) * sum over i = 1..t of d^(t - i) * theta_i  /  (1 - d^t)
              = average_(t-1) + w_t * (theta_t - average_(t-1)),   w_t = (1 - d) / (1 - d^t)

The start counts for nothing: the first average is the tensors after the first step. The training itself goes on from
its own tensors and does not know of the average. A norm of an average is at most the largest of those averaged, so a
cap that holds after every step holds for it too.

Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, section 7.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

DONE = "num_steps"


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Averages:
    """The average of an adapter's trained tensors.

    Attributes:
        decay: d, what the average keeps of itself at a step in the long run.
        params: what is averaged, by name.
        state: the averages by the same names, and how many steps they hold; a checkpoint has it.
    """

    decay: float
    params: Mapping[str, Tensor]
    state: dict[str, Tensor]


def averages_of(params: Mapping[str, Tensor], decay: float | None) -> Averages | None:
    """Averages that hold no step yet; None when none are asked for."""
    if decay is None:
        return None
    zeros = {name: torch.zeros_like(tensor, requires_grad=False) for name, tensor in params.items()}
    return Averages(decay=decay, params=params, state={**zeros, DONE: torch.zeros((), dtype=torch.int64)})


def take_in(averages: Averages) -> None:
    """Count the tensors as they are now, after a step."""
    done = averages.state[DONE].add_(1)
    weight = (1 - averages.decay) / (1 - averages.decay ** int(done))
    means = [averages.state[name] for name in averages.params]
    torch._foreach_lerp_(means, [tensor.detach() for tensor in averages.params.values()], weight)


def settle(averages: Averages) -> None:
    """Put the averages in the place of the tensors, for good; nothing changes before the first step."""
    if int(averages.state[DONE]):
        with torch.no_grad():
            for name, tensor in averages.params.items():
                tensor.copy_(averages.state[name])


@contextmanager
def settled(averages: Averages | None) -> Iterator[None]:
    """For a while: what is written at the end is what acts now. The training's own tensors come back bit for bit."""
    if averages is None:
        yield
        return
    own = {name: tensor.detach().clone() for name, tensor in averages.params.items()}
    settle(averages)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in averages.params.items():
                tensor.copy_(own[name])
