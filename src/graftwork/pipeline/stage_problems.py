"""What a recipe with stages may not ask for. Pure; no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graftwork.adapters.asked import parts_of
from graftwork.adapters.method import METHODS
from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from graftwork.pipeline.spec import RunSpec


def stage_problems(spec: RunSpec) -> Iterator[Problem]:
    """All that does not go together with stages."""
    names = [stage.name for stage in spec.stages]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Problem(f"stages[{number}].name", name, "each name once")
    last = spec.stages[-1]
    for part, own, of_last in (("data", spec.data, last.data), ("training", spec.training, last.training)):
        if own != of_last:
            yield Problem(part, "a mapping", "that of the last stage", "With stages there is no other.")
    if spec.is_full:
        hint = "Tune fully in one run, and name its model as the base of the next."
        yield Problem("adapter.method", "full", "an adapter, with stages", hint)
        return
    for part_spec in parts_of(spec.adapter):
        method = METHODS[part_spec.method]  # type: ignore[attr-defined]
        if method.evolution is not None or method.plain is not None:
            hint = "It ends as other tensors than it was trained as. Train on top of its result in a run with `on`."
            yield Problem("adapter.method", method.name, "a method that can be trained further, with stages", hint)
