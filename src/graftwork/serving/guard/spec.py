"""What a guard is asked to do: filters for prompts and for answers, by default and of single models."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

import graftwork.serving.guard.filters  # noqa: F401  fills the catalog
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec
from graftwork.serving.guard.finding import FILTERS, Side

if TYPE_CHECKING:
    AnyFilterSpec = Any
else:
    AnyFilterSpec = Annotated[reduce(or_, (FILTERS[name].spec for name in FILTERS)), Field(discriminator="filter")]


class PolicySpec(Spec):
    """What is done about prompts and answers."""

    prompt: tuple[AnyFilterSpec, ...] = ()
    """Filters of prompts, in their order; one that blocks has the request refused."""

    answer: tuple[AnyFilterSpec, ...] = ()
    """Filters of answers, in their order; one that blocks ends the answer."""

    blocked_text: str = ""
    """What is said in the place of the rest of an answer that a filter ends."""

    refusal: str = "The request was refused by the guard of this service."
    """What is said where a prompt is refused."""

    @model_validator(mode="after")
    def _every_filter_can_do_so(self) -> Self:
        sides: tuple[tuple[Side, tuple[Any, ...]], ...] = (("prompt", self.prompt), ("answer", self.answer))
        problems = [one for side, filters in sides for one in _problems(side, filters)]
        if problems:
            raise SpecError(problems)
        return self


class GuardSpec(Spec):
    """The guard of a server."""

    format: Literal[1] = 1
    """Version of this form."""

    default: PolicySpec = Field(default_factory=PolicySpec)
    """For every model that `models` does not name."""

    models: dict[str, PolicySpec] = Field(default_factory=dict)
    """For the models of these names, in the place of the default; a name holds for all its stages and versions, unless
    one such as triage:canary has its own."""


def _problems(side: Side, filters: tuple[Any, ...]) -> Iterator[Problem]:
    for at, one in enumerate(filters):
        kind = FILTERS[one.filter]
        if side not in kind.sides:
            yield Problem(f"{side}[{at}].filter", one.filter, f"a filter of {side}s", f"It is one of {kind.sides[0]}s.")
        if one.action not in kind.actions:
            yield Problem(f"{side}[{at}].action", one.action, f"one of {', '.join(kind.actions)} for {one.filter}")
