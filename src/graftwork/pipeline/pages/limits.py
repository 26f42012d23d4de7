"""What an evaluation does not say: its limits, and the conditions of its subjects side by side. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graftwork.evaluation.result import EvaluationResult
from graftwork.pipeline.pages.subjects import called
from graftwork.pipeline.pages.words import Both, label, term

FORGETTING = "forgetting"
"""The dimension that asks what the base knew before."""
COST = "efficiency"
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Setting:
    """One entry of the manifest, with its value for every subject, None where a subject has none."""

    name: str
    values: Sequence[str | None]

    @property
    def is_same(self) -> bool:
        """Whether it is the same for all."""
        return len(set(self.values)) == 1


def limits_of(result: EvaluationResult, *, has_certificate: bool) -> list[Both]:
    """What must be said beside the numbers, the gravest first."""
    names, kinds = called(result.subjects), {one.kind for one in result.subjects}
    told = []
    if not has_certificate and len(result.subjects) > 1:
        told.append(label("limit_no_certificate"))
    if result.dimension(FORGETTING) is None:
        told.append(label("limit_no_forgetting"))
    if "full" not in kinds:
        told.append(label("limit_no_full"))
    told += [
        label("limit_not_shown", dimension=term("dimension", dimension.name), reference=names[one.reference].said)
        for dimension in result.dimensions
        for one in dimension.verdicts
        if one.verdict == "not shown"
    ]
    return [*told, label("limit_other_data"), label("limit_greedy")]


def notes_of(result: EvaluationResult) -> list[tuple[Both | None, str]]:
    """What the evaluation noted, with the dimension it is about."""
    of_all: list[tuple[Both | None, str]] = [(None, note) for note in result.notes]
    return of_all + [(term("dimension", one.name), note) for one in result.dimensions for note in one.notes]


def settings_of(result: EvaluationResult) -> list[Setting]:
    """The manifest, each entry by the way to it, what differs first."""
    told = {who: dict(_flat(result.manifest.get(who))) for who in called(result.subjects)}
    names = dict.fromkeys(name for one in told.values() for name in one)
    rows = [Setting(name, [one.get(name) for one in told.values()]) for name in names]
    return sorted(rows, key=lambda row: row.is_same)


def general_settings(result: EvaluationResult) -> list[tuple[str, str]]:
    """What the manifest says of no subject by itself."""
    subjects = called(result.subjects)
    rest = {key: value for key, value in result.manifest.items() if key not in subjects}
    return list(_flat(rest))


def _flat(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and len(way) < DEEPEST:
        for key, inner in value.items():
            yield from _flat(inner, (*way, str(key)))
    elif isinstance(value, list | tuple) and not any(isinstance(one, Mapping) for one in value):
        yield ".".join(way), ", ".join(map(str, value))
    elif way and value is not None:
        yield ".".join(way), str(value)
