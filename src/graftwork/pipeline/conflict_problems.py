"""What a recipe may not ask of tasks that share an adapter: there must be more than one. Pure; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from graftwork.data.spec import DataSpec
    from graftwork.pipeline.spec import RunSpec
    from graftwork.training.spec import TrainSpec


def conflict_problems(spec: RunSpec) -> Iterator[Problem]:
    """Conflicts that are asked for where no two tasks are, in the recipe or in a stage."""
    for number, stage in enumerate(spec.stages):
        yield from _of(stage.training, stage.data, where=f"stages[{number}].", who=f"stage {stage.name}")
    if not spec.stages:
        yield from _of(spec.training, spec.data)


def lone_task_problems(spec: TrainSpec, sizes: Sequence[int]) -> Iterator[Problem]:
    """The same once the records are known.

    Args:
        sizes: usable records of each source.
    """
    if spec.conflicts != "off" and sum(size > 0 for size in sizes) < 2:
        hint = f"Usable records of each source of data.train: {', '.join(map(str, sizes))}."
        yield Problem("training.conflicts", spec.conflicts, "records of two sources or more, or off", hint)


def _of(training: TrainSpec, data: DataSpec, *, where: str = "", who: str = "the recipe") -> Iterator[Problem]:
    if training.conflicts != "off" and len(data.sources) == 1:
        hint = f"Each source of data.train is a task, and {who} has one. Give them as a list, a file or folder each."
        yield Problem(f"{where}training.conflicts", training.conflicts, "off with a single source", hint)
