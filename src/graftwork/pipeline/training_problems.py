"""Settings of a training that not every method has a use for: none is taken and then ignored. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked
    from graftwork.training.spec import TrainSpec

OUTPUT_FACTOR = "b_"
"""How the names of factors B begin."""


def particular(spec: TrainSpec) -> dict[str, Any]:
    """Those settings, where they are asked for."""
    told = {
        "spectral_cap": (spec.spectral_cap, None),
        "optimizer.b_rate_ratio": (spec.optimizer.b_rate_ratio, 1.0),
        "ema_decay": (spec.ema_decay, None),
        "watch_every": (spec.watch_every, None),
        "early_stopping": (spec.early_stopping if spec.early_stopping == "off" else "a mapping", "off"),
        "keep": (spec.keep, "last"),
    }
    return {name: value for name, (value, unasked) in told.items() if value != unasked}


def training_problems(spec: TrainSpec, asked: Iterable[Asked]) -> Iterator[Problem]:
    """What a training is asked for that the methods of its adapter cannot have."""
    wanted = particular(spec)
    found = {one.method.name: one for one in asked}.values()
    names = ", ".join(sorted(one.method.name for one in found))
    if "spectral_cap" in wanted and not any(map(_has_matrices, found)):
        hint = f"{names} has no matrices whose singular values could be held."
        yield Problem("training.spectral_cap", spec.spectral_cap, "null", hint)
    if "optimizer.b_rate_ratio" in wanted and not any(map(_has_output_factor, found)):
        hint = f"{names} has no factor B that could learn faster than A."
        yield Problem("training.optimizer.b_rate_ratio", spec.optimizer.b_rate_ratio, "1", hint)
    if "watch_every" in wanted and not any(one.method.merges and _has_matrices(one) for one in found):
        hint = f"{names} has no low-rank updates whose singular values could be looked at."
        yield Problem("training.watch_every", spec.watch_every, "null", hint)
    moved = sorted(one.method.name for one in found if one.method.evolution and one.method.kept)
    if "ema_decay" in wanted and moved:
        hint = f"{', '.join(moved)} changes other tensors between steps, which no average of those trained would fit."
        yield Problem("training.ema_decay", spec.ema_decay, "null", hint)
    hint = f"The schedule of {', '.join(moved)} takes all steps; before its end the adapter is another than asked for."
    for name, without in (("early_stopping", "off"), ("keep", "last")) if moved else ():
        if name in wanted:
            yield Problem(f"training.{name}", wanted[name], without, hint)


def _has_matrices(one: Asked) -> bool:
    return any(one.method.caps(name, shape) for name, shape in _shapes(one))


def _has_output_factor(one: Asked) -> bool:
    return one.method.merges and any(name.startswith(OUTPUT_FACTOR) for name, _ in _trained(one))


def _trained(one: Asked) -> Iterator[tuple[str, tuple[int, ...]]]:
    return ((name, shape) for name, shape in _shapes(one) if name not in one.method.kept)


def _shapes(one: Asked) -> Iterable[tuple[str, tuple[int, ...]]]:
    return one.method.shapes(one.spec, one.place).items()
