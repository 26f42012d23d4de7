"""What the methods of one adapter do beside descending the loss: penalties, and what happens between steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graftwork.adapters.adapter import Adapter, Placed, spec_of_part
from graftwork.training.checkpoints import Beside

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.evolution import Evolution, Moment, State
    from graftwork.core.spec import Spec


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Evolving:
    """One part of an adapter that changes between steps.

    Attributes:
        placed: its places by key.
        state: what it remembers, by name; a checkpoint holds it.
    """

    part: int
    spec: Spec
    evolution: Evolution
    placed: Mapping[str, Placed]
    state: State


def evolving(adapter: Adapter) -> tuple[Evolving, ...]:
    """The parts of an adapter that change between steps, each in its first state."""
    found = []
    for part, placed in sorted(_by_part(adapter).items()):
        evolution = next(iter(placed.values())).method.evolution
        if evolution is not None:
            spec = spec_of_part(adapter, part)
            state = evolution.begin(spec, placed)
            found.append(Evolving(part=part, spec=spec, evolution=evolution, placed=placed, state=state))
    return tuple(found)


def advance(parts: Iterable[Evolving], moment: Moment) -> None:
    """Let each part do what it does after an optimizer step whose gradients are still there."""
    with torch.no_grad():
        for part in parts:
            gradients = {key: _gradients(here.params) for key, here in part.placed.items()}
            part.evolution.step(part.spec, part.placed, gradients, part.state, moment)


def finished(adapter: Adapter, parts: Iterable[Evolving]) -> Adapter:
    """The adapter as it is kept after the last step. Its tensors may be others than those that were trained."""
    kept = dict(adapter.placed)
    with torch.no_grad():
        for part in parts:
            left = part.evolution.finish(part.spec, part.placed)
            kept = {key: left.get(key, here) for key, here in kept.items() if key in left or key not in part.placed}
    return Adapter(spec=adapter.spec, placed=kept)


def beside_of(adapter: Adapter, parts: Iterable[Evolving], also: Mapping[str, State] | None = None) -> Beside:
    """What a checkpoint holds beside what the optimizer trains.

    Args:
        also: what others remember from step to step, by names that are no numbers.
    """
    trained = dict(adapter.trained())
    return Beside(
        kept={name: tensor for name, tensor in adapter.tensors() if name not in trained},
        states={**{str(part.part): part.state for part in parts}, **(also or {})},
    )


def penalty_of(adapter: Adapter) -> Tensor | None:
    """What the methods add to the loss of a step: for each part the mean over its places. None if none adds."""
    means = []
    for placed in _by_part(adapter).values():
        terms = [here.method.penalty(here.spec, here.params) for here in placed.values() if here.method.penalty]
        if terms:
            means.append(torch.stack(terms).mean())
    return torch.stack(means).sum() if means else None


def _by_part(adapter: Adapter) -> dict[int, dict[str, Placed]]:
    found: dict[int, dict[str, Placed]] = {}
    for key, here in adapter.placed.items():
        found.setdefault(here.part, {})[key] = here
    return found


def _gradients(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.grad for name, tensor in params.items() if tensor.grad is not None}
