"""All dimensions of an evaluation, of all its subjects: asked, measured, and summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.core.spec import parse
from graftwork.evaluation.dimension import DIMENSIONS, Given
from graftwork.evaluation.dimensions.efficiency import EfficiencySpec
from graftwork.pipeline.evaluation.batches import Room
from graftwork.pipeline.evaluation.dimensions import FOLDER, asked_and_scored, kind_of
from graftwork.pipeline.evaluation.efficiency import Cost, efficiency
from graftwork.pipeline.evaluation.replies import FILE
from graftwork.pipeline.evaluation.summing import summed_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftwork.core.spec import Spec
    from graftwork.evaluation.result import EvaluationResult
    from graftwork.evaluation.spec import EvaluationSpec
    from graftwork.pipeline.evaluation.dimensions import Scored
    from graftwork.pipeline.evaluation.subjects import AtHand
    from graftwork.pipeline.watch import Watch

FORGETTING = "forgetting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What an evaluation needs beside its subjects.

    Attributes:
        folder: gets a folder `evaluation` with replies and scores.
        costs: of subjects, by name.
        notes: what was left out before.
        stop_if_asked: raises Interrupted when whoever watches wants to stop.
    """

    folder: Path
    spec: EvaluationSpec
    given: Given
    watch: Watch
    stop_if_asked: Callable[[], None]
    costs: Mapping[str, Cost] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of it: the result, and the dimensions that were asked, item by item."""

    result: EvaluationResult
    scored: Sequence[Scored]


def looked_at(scene: Scene, subjects: Sequence[AtHand]) -> Looked:
    """Everything that the recipe asks for, of all subjects.

    Raises:
        SpecError: what a dimension was asked for cannot be had.
        Interrupted: asked to stop; every reply so far is kept.
    """
    specs = wanted(scene.spec)
    room = Room(questions=scene.spec.batch_size, tokens=scene.spec.batch_tokens)

    def told(label: str) -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            scene.watch.evaluating(label, done, total)
            scene.stop_if_asked()

        return tell

    scored = asked_and_scored(scene.folder / FOLDER, subjects, specs, scene.given, room=room, told=told("questions"))
    measured = [
        efficiency(spec, subjects, scene.costs, told=told("measuring"))
        for spec in specs
        if isinstance(spec, EfficiencySpec)
    ]
    result = summed_up(
        [one.subject for one in subjects],
        scored,
        measured,
        margins=scene.spec.margins,
        notes=scene.notes,
    )
    return Looked(result, scored)


def wanted(spec: EvaluationSpec) -> tuple[Spec, ...]:
    """The dimensions that a recipe names, and what a gain may have cost, unless it wants to know nothing of that."""
    named = {kind_of(one) for one in spec.dimensions}
    if spec.general == "off" or FORGETTING in named:
        return spec.dimensions
    return (*spec.dimensions, parse(DIMENSIONS[FORGETTING].spec, {}))


def files_of(spec: EvaluationSpec) -> list[str]:
    """What `looked_at` leaves in its folder, by path within."""
    asking = [kind_of(one) for one in wanted(spec) if not DIMENSIONS[kind_of(one)].is_measured]
    return [f"{FOLDER}/{name}" for name in (FILE, *(f"{kind}.jsonl" for kind in asking))] if asking else []
