"""What is asked of an adapter: one method, or several in one, and where they attach. Without a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from graftwork.adapters.method import METHODS, Method
from graftwork.adapters.ranks import Capacity, rank_at, settled
from graftwork.adapters.targets import SELECTIONS, CacheSpec, EmbeddingSpec, select
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


def positions_in_front(spec: Spec) -> int:
    """Positions that a request puts in front of the tokens of every row: what the base's context is shorter by."""
    return sum(part.positions for part in parts_of(spec) if isinstance(part, CacheSpec | EmbeddingSpec))


def resolved(spec: Spec, place: Place, facts: BaseFacts) -> Spec:
    """`spec` as it holds at `place`: a rank plan becomes this place's rank, the selection is left behind.

    Raises:
        SpecError: what it asks for cannot hold there.
    """
    plan: Any = getattr(spec, "rank", None)
    if isinstance(plan, Capacity):  # the others say what holds here without a look at the other places
        plan = _settled(spec, select(spec, METHODS[spec.method], facts), facts)  # type: ignore[attr-defined]
    return _with_rank(spec, None if plan is None else rank_at(plan, place, facts))


def places_of(spec: Spec, facts: BaseFacts) -> dict[str, Asked]:
    """Where `spec` attaches and what holds there, by key, without making a tensor.

    Raises:
        SpecError: a target matches nothing, or a rank plan does not fit the places; all that is wrong.
    """
    found = {}
    for part, one in enumerate(parts_of(spec)):
        method = METHODS[one.method]  # type: ignore[attr-defined]
        chosen = select(one, method, facts)
        plan = _settled(one, chosen, facts)
        alike: dict[int | None, Spec] = {}
        for place in chosen:
            here = method.experts if method.site == "linear" and hasattr(place, "num_experts") else method
            assert here is not None
            key = f"{part}:{place.name}" if part else place.name
            rank = None if plan is None else rank_at(plan, place, facts)
            if rank not in alike:
                alike[rank] = _with_rank(one, rank)
            found[key] = Asked(place=place, method=here, spec=alike[rank], part=part)
    return found


def _settled(spec: Spec, places: Sequence[Place], facts: BaseFacts) -> Any:
    """The rank plan that holds at each place for itself; None for a method without rank."""
    try:
        return settled(spec.rank, places, facts) if "rank" in type(spec).model_fields else None  # type: ignore[attr-defined]
    except SpecError as error:
        raise SpecError(replace(p, path=f"adapter.rank.{p.path}") for p in error.problems) from error


def _with_rank(spec: Spec, rank: int | None) -> Spec:
    raw = {k: v for k, v in plain(spec).items() if not _selects(spec, k)}
    if rank is not None:
        raw["rank"] = rank
    try:
        return parse(type(spec), raw)
    except SpecError as error:
        raise SpecError(replace(p, path=f"adapter.{p.path}") for p in error.problems) from error


def _selects(spec: Spec, field: str) -> bool:
    return any(field in owner.model_fields for owner in SELECTIONS if isinstance(spec, owner))
