"""Stages of a name, and its moves as values. Pure."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.registry.interface import Row

Stage = Literal["candidate", "canary", "production", "retired"]
STAGES: tuple[Stage, ...] = get_args(Stage)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A name went, at one stage, from a version to another; None is no version.

    Attributes:
        sequence: number of the ledger's entry that tells it.
    """

    sequence: int
    time_us: int
    name: str
    stage: Stage
    before: str | None
    after: str | None
    actor: str
    reason: str


def move_of(row: Row) -> Move:
    """The move in a row."""
    fields: dict[str, Any] = {key: value for key, value in row.items() if key != "tenant"}
    return Move(**fields)


def stage_named(text: str) -> Stage:
    """The stage that a text names. Raises SpecError for any other."""
    for stage in STAGES:
        if text == stage:
            return stage
    raise SpecError([Problem("stage", text, f"one of {', '.join(STAGES)}", did_you_mean(text, STAGES))])


def refuse_bad_name(name: str) -> None:
    """Raise SpecError unless `name` can be a name."""
    if not NAME.fullmatch(name):
        raise SpecError([Problem("name", name, "1 to 100 of a-z, 0-9, dot, dash and underscore, no dash or dot first")])
