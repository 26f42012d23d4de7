"""Rank plans: how many directions the update of each place may use.

A plan is part of an adapter's spec; `rank_at` turns it into a whole number for one place. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec

if TYPE_CHECKING:
    from graftwork.base.facts import BaseFacts, Place

MAX_RANK = 4096


class Uniform(Spec):
    """The same rank everywhere."""

    kind: Literal["uniform"] = "uniform"
    """Says which plan this is."""

    rank: int = Field(ge=1, le=MAX_RANK)
    """Directions the update may use. 8 to 64 are usual."""


class Tiered(Spec):
    """Three tiers by depth, from the bottom of the stack to its top."""

    kind: Literal["tiered"] = "tiered"
    """Says which plan this is."""

    bottom: int = Field(default=4, ge=1, le=MAX_RANK)
    """Rank of the lowest layers. 4 is usual."""

    middle: int = Field(default=8, ge=1, le=MAX_RANK)
    """Rank of the layers between. 8 is usual."""

    top: int = Field(default=16, ge=1, le=MAX_RANK)
    """Rank of the highest layers. 16 is usual."""

    bottom_frac: float = Field(default=1 / 3, ge=0, le=1)
    """Share of the layers that is the bottom tier. A third is usual."""

    top_frac: float = Field(default=1 / 3, ge=0, le=1)
    """Share of the layers that is the top tier. A third is usual."""

    @model_validator(mode="after")
    def _tiers_do_not_overlap(self) -> Tiered:
        if self.bottom_frac + self.top_frac > 1:
            expected = f"at most 1 - bottom_frac = {1 - self.bottom_frac:g}"
            raise SpecError([Problem("top_frac", self.top_frac, expected, "The tiers would overlap.")])
        return self


def _form(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('kind', 'uniform')}".replace(" ", "_")  # so that no text is the tag of whole numbers
    return value.kind if isinstance(value, Uniform | Tiered) else "an integer"


RankPlan = Annotated[
    Annotated[int, Field(ge=1, le=MAX_RANK), Tag("an integer")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Tiered, Tag("tiered")],
    Discriminator(_form),
]


def rank_at(plan: int | Uniform | Tiered, place: Place, facts: BaseFacts) -> int:
    """The rank at a place; outside the stack the top tier's. At experts it is the plan's rank divided by the number of
    experts that answer for one token, at least 1, so that a token meets the rank that was asked for.

    Source of the division: Schulman and Thinking Machines 2025, "LoRA Without Regret", on mixtures of experts.
    """
    rank = _planned(plan, place.layer, facts.num_layers)
    return max(1, rank // facts.num_active_experts) if place.role.startswith("experts.") else rank


def _planned(plan: int | Uniform | Tiered, layer: int | None, num_layers: int) -> int:
    """Before experts share it.

    >>> [_planned(Tiered(), layer, 6) for layer in range(6)]
    [4, 4, 8, 8, 16, 16]
    >>> _planned(7, None, 6)
    7
    """
    if isinstance(plan, int):
        return plan
    if isinstance(plan, Uniform):
        return plan.rank
    if layer is None:
        return plan.top
    # with exact thirds of a stack, rounding keeps the tiers equal where floats alone would not
    if layer < round(plan.bottom_frac * num_layers):
        return plan.bottom
    # the top tier begins where the two below it end, so that fractions that fill the stack leave no middle
    return plan.top if layer >= round((1 - plan.top_frac) * num_layers) else plan.middle
