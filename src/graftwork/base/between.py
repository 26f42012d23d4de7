"""What a base computes between its linear layers, while it is gone through backwards: one node where torch has many.

    norm      y = x s g,  s = 1 / sqrt(mean(x^2) + eps),  g the weight or 1 + it
              dx = s g dy - x s^3 mean(g dy x)
    gate      y = act(gate) up,  act(u) = u sigmoid(v(u)),  v(u) = u (SiLU) or c (u + b u^3) (GELU by tanh)
              dup = act(gate) dy,  dgate = sigmoid(v) (1 + gate v' (1 - sigmoid(v))) up dy
    rotation  (a, b) cos + (-b, a) sin;  back the other way round

What goes forward has the base's own bits: its own module computes it, and of the rotation every operation is made and
rounded as there. Kept are inputs alone: no wide copies of a norm's input, no activated gate. Nothing is believed: which
module is one of these is tried, forward and backward, before the first pass. What is not, what is trained itself, and
other types and devices go the base's own way; so does all that is computed without gradients.

The base's modules are as they were outside of `lighter`; its tree, names and weights are so within.

Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467; Shazeer 2020, https://arxiv.org/abs/2002.05202;
Su et al. 2021, https://arxiv.org/abs/2104.09864.
Departs from them: gains are frozen and get no gradient; s is made again from x, which is read anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from torch import nn

from graftwork.base.between_parts import gated_of, norm_of, turned_of
from graftwork.base.ways import has_numba, put, take_off


class Between:
    """The modules of `model` that have lighter ways, which are looked for when first needed."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._ways: dict[nn.Module, Callable[..., Any]] | None = None
        self._lock, self._inside = Lock(), 0

    def look(self) -> None:
        """Look for them now: while the weights are whole, should the model be spread over processes later."""
        if self._ways is None:
            self._ways = ways_of(self._model)

    @contextmanager
    def lighter(self) -> Iterator[None]:
        """Inside, they are gone. From several threads: until the last has left."""
        with self._lock:
            if not self._inside:
                self.look()
                put(self._ways or {})
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    take_off(self._ways or {})


def ways_of(model: nn.Module) -> dict[nn.Module, Callable[..., Any]]:
    """A lighter `forward` for each module of `model` that has one; none without numba."""
    if not has_numba() or next(model.parameters()).device.type != "cpu":
        return {}
    found: dict[nn.Module, Callable[..., Any]] = {}
    for module in model.modules():
        if "forward" in vars(module) or any(type(own) is not nn.Parameter for own in module.parameters()):
            continue
        way = norm_of(module) or gated_of(module) or turned_of(module)
        if way:
            found[module] = way
    return found
