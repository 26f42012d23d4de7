"""What is asked of an adapter: one method, or several in one, and where they attach. Without a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from graftwork.adapters.method import METHODS, Method
from graftwork.adapters.ranks import rank_at
from graftwork.adapters.targets import SELECTIONS, select
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from graftwork.base.facts import BaseFacts, Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One method at one place.

    Attributes:
        part: which part of a combined request it belongs to; 0 if it is not combined.
        spec: resolved for this place.
    """

    place: Place
    method: Method
    spec: Spec
    part: int


class Combined(Spec):
    """What a request for several methods in one adapter holds, whatever the methods are."""

    method: Literal["combined"] = "combined"
    """Several methods in one adapter, trained and saved together."""

    parts: tuple[Any, ...] = Field(min_length=2, max_length=8)
    """The methods, each with its settings; at a place that several act on, they act in this order."""

    @model_validator(mode="after")
    def _parts_differ(self) -> Combined:
        names = [part.method for part in self.parts]
        if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise SpecError([Problem("parts", repeated[0], "each method once", "Give one part all its targets.")])
        return self


def parts_of(spec: Spec) -> tuple[Spec, ...]:
    """The methods of a request, in order; a request for one method is its own part."""
    return spec.parts if isinstance(spec, Combined) else (spec,)


def resolved(spec: Spec, place: Place, facts: BaseFacts) -> Spec:
    """`spec` as it holds at `place`: a rank plan becomes this place's rank, the selection is left behind."""
    raw = {k: v for k, v in plain(spec).items() if not _selects(spec, k)}
    if "rank" in raw:
        raw["rank"] = rank_at(spec.rank, place, facts)  # type: ignore[attr-defined]
    return parse(type(spec), raw)


def places_of(spec: Spec, facts: BaseFacts) -> dict[str, Asked]:
    """Where `spec` attaches and what holds there, by key, without making a tensor.

    Raises:
        SpecError: a target matches nothing.
    """
    found = {}
    for part, one in enumerate(parts_of(spec)):
        method = METHODS[one.method]  # type: ignore[attr-defined]
        for place in select(one, method, facts):
            here = method.experts if method.site == "linear" and hasattr(place, "num_experts") else method
            assert here is not None
            key = f"{part}:{place.name}" if part else place.name
            found[key] = Asked(place=place, method=here, spec=resolved(one, place, facts), part=part)
    return found


def _selects(spec: Spec, field: str) -> bool:
    return any(field in owner.model_fields for owner in SELECTIONS if isinstance(spec, owner))
