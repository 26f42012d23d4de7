"""Stages: trainings one after another on the same adapter, each with its own records, targets, steps and rates. Pure.

A stage says what differs from the recipe's `data` and `training`; what all stages share is said there once. Read, each
stage is whole, and the recipe's own `data` and `training` are those of its last stage: the run's adapter, its
evaluation and its report are of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from graftwork.core.errors import Problem
from graftwork.core.recipe import overlaid
from graftwork.core.spec import Spec
from graftwork.data.spec import DataSpec
from graftwork.training.spec import TrainSpec

PARTS = ("data", "training")
"""What a stage has of its own."""

LENGTHS = ("steps", "epochs")
"""Two ways to say how long a training is: a stage that says one of them means it instead of a shared other."""


class StageSpec(Spec):
    """One of several trainings of the same adapter."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
    """Names the stage and its folder: letters, digits, dot, dash and underscore."""

    data: DataSpec
    """Its records: what differs from the recipe's data."""

    training: TrainSpec = TrainSpec()
    """How it is trained: what differs from the recipe's training."""


def is_staged(raw: Mapping[str, Any]) -> bool:
    """Whether a recipe's mapping has stages, well formed or not."""
    stages = raw.get("stages")
    return isinstance(stages, list | tuple) and bool(stages)


def whole_stages(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's mapping in which each stage is whole, and nothing is shared any more. What is no mapping stays."""
    shared = {part: raw.get(part, {}) for part in PARTS}
    rest = {key: value for key, value in raw.items() if key not in PARTS}
    return {**rest, "stages": [_whole(stage, shared) for stage in raw["stages"]]}


def with_last(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping of a recipe whose stages are whole, with the last one's data and training as its own."""
    last = raw["stages"][-1] if is_staged(raw) else None
    if not isinstance(last, Mapping):
        return raw
    return {**{part: last[part] for part in PARTS if part in last}, **raw}


def as_written(problems: Sequence[Problem], raw: Mapping[str, Any]) -> list[Problem]:
    """Problems of whole stages where their author wrote what is wrong: in a stage, or in what all share; each once."""
    placed = [_placed(p, raw) for p in problems if p.path.split(".")[0] not in PARTS]  # those are the last stage's
    return each_once(placed)


def each_once(problems: Sequence[Problem]) -> list[Problem]:
    """Without those that say the same as one before."""
    return list({str(problem): problem for problem in reversed(problems)}.values())[::-1]


def unused(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """What all stages share by the recipe's own words, and none of them takes."""
    for part in PARTS:
        fragments = [stage.get(part, {}) if isinstance(stage, Mapping) else {} for stage in raw["stages"]]
        for path, value in _leaves(raw.get(part, {})):
            if all(_says(fragment, path) for fragment in fragments):
                where = ".".join((part, *path))
                yield Problem(where, value, "a value that some stage uses", "Each stage has one of its own.")


def _whole(stage: Any, shared: Mapping[str, Any]) -> Any:
    if not isinstance(stage, Mapping):
        return stage
    return {**stage, **{part: _over(shared[part], stage.get(part, {})) for part in PARTS}}


def _over(shared: Any, own: Any) -> Any:
    if not (isinstance(shared, Mapping) and isinstance(own, Mapping)):
        return own or shared
    says_length = any(own.get(key) is not None for key in LENGTHS)
    kept = {key: value for key, value in shared.items() if not (says_length and key in LENGTHS)}
    return overlaid(kept, own)


def _placed(problem: Problem, raw: Mapping[str, Any]) -> Problem:
    head, _, path = problem.path.partition(".")
    keys = path.split("[")[0].split(".")
    if not head.startswith("stages[") or keys[0] not in PARTS:
        return problem
    stage = raw["stages"][int(head.removeprefix("stages[").rstrip("]"))]
    own, shared = stage.get(keys[0], {}), raw.get(keys[0], {})
    if not _says(own, keys[1:2]) and _says(shared, keys[1:2]):
        return replace(problem, path=path)
    return problem


def _says(told: Any, path: Sequence[str]) -> bool:
    """Whether a mapping has a value at `path`, or instead of something on the way to it."""
    for key in path:
        if not isinstance(told, Mapping):
            return True
        if key not in told:
            return False
        told = told[key]
    return True


def _leaves(told: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(told, Mapping):
        yield above, told
        return
    for key, value in told.items():
        yield from _leaves(value, (*above, key))
