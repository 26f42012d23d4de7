"""Rank plans: how many directions the update of each place may use.

A plan is part of an adapter's spec; `settled` and `rank_at` turn it into a whole number for each place. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.adapters.targets import KNOWN_ROLES, is_named
from graftwork.base.roles import ALIASES, has_role
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec

if TYPE_CHECKING:
    from graftwork.base.facts import BaseFacts, Place

MAX_RANK = 4096
BITS_PER_PARAM = 2.0
"""Bits that one trained number can be relied on to hold: Allen-Zhu and Li 2024, https://arxiv.org/abs/2404.05405.
Morris et al. 2025, https://arxiv.org/abs/2505.24832, measure up to 3.6."""

Rank = Annotated[int, Field(ge=1, le=MAX_RANK)]


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


class ByRole(Spec):
    """A rank for each role, say 16 for attention and 8 for the mlp."""

    kind: Literal["by_role"] = "by_role"
    """Says which plan this is."""

    ranks: dict[str, Rank] = Field(min_length=1)
    """Rank by role: attention, attention.q, mlp, mlp.down, experts. Of several that fit, the narrowest holds."""

    default: Rank | None = None
    """Rank of all other layers. Absent: the roles must cover every layer that is adapted."""


class Explicit(Spec):
    """A rank for each layer, by name."""

    kind: Literal["explicit"] = "explicit"
    """Says which plan this is."""

    ranks: dict[str, Rank] = Field(min_length=1)
    """Rank by name (q_proj, model.layers.0.mlp.up_proj) or pattern (*.0.*.up_proj). The longest that fits holds."""

    default: Rank | None = None
    """Rank of all other layers. Absent: the names must cover every layer that is adapted."""


class ByModelSize(Spec):
    """More rank for larger bases, in three steps by their own parameters: 32 from 6 billion, 64 from 65 billion."""

    kind: Literal["by_model_size"] = "by_model_size"
    """Says which plan this is."""

    small: int = Field(default=16, ge=1, le=MAX_RANK)
    """Rank on bases below `middle_from_params`. 16 is usual."""

    middle: int = Field(default=32, ge=1, le=MAX_RANK)
    """Rank on bases from there to `large_from_params`. 32 is usual."""

    large: int = Field(default=64, ge=1, le=MAX_RANK)
    """Rank on bases from there. 64 is usual."""

    middle_from_params: int = Field(default=6_000_000_000, ge=1)
    """Parameters of the smallest base of the middle step. 6 billion is usual."""

    large_from_params: int = Field(default=65_000_000_000, ge=1)
    """Parameters of the smallest base of the large step. 65 billion is usual."""

    @model_validator(mode="after")
    def _steps_rise(self) -> ByModelSize:
        if self.large_from_params < self.middle_from_params:
            expected = f"at least middle_from_params = {self.middle_from_params}"
            raise SpecError([Problem("large_from_params", self.large_from_params, expected)])
        return self


class Capacity(Spec):
    """The least rank, the same everywhere, whose numbers can hold what the data has to teach."""

    kind: Literal["capacity"] = "capacity"
    """Says which plan this is."""

    bits: float = Field(gt=0, le=1e15)
    """What is to be learned, in bits; a first pass's loss, in bits and summed over learned tokens, is a bound."""

    headroom: float = Field(default=1.0, ge=1, le=1e3)
    """How many times that the adapter should be able to hold. 1 to 4 are usual."""


PLANS = (Uniform, Tiered, ByRole, Explicit, ByModelSize, Capacity)


def _form(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('kind', 'uniform')}".replace(" ", "_")  # so that no text is the tag of whole numbers
    return value.kind if isinstance(value, PLANS) else "an integer"


RankPlan = Annotated[
    Annotated[int, Field(ge=1, le=MAX_RANK), Tag("an integer")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Tiered, Tag("tiered")]
    | Annotated[ByRole, Tag("by_role")]
    | Annotated[Explicit, Tag("explicit")]
    | Annotated[ByModelSize, Tag("by_model_size")]
    | Annotated[Capacity, Tag("capacity")],
    Discriminator(_form),
]
EachPlan = int | Uniform | Tiered | ByRole | Explicit | ByModelSize
"""Plans that hold at a place whatever the other places are."""


def settled(plan: EachPlan | Capacity, places: Sequence[Place], facts: BaseFacts) -> EachPlan:
    """A plan that holds at each of `places` for itself.

    Raises:
        SpecError: a role or name means no place, or a place has no rank, or no rank is enough; all of them, with paths
            from the plan's own root.
    """
    if isinstance(plan, Capacity):
        return capacity_rank(plan.bits, places, facts, headroom=plan.headroom)
    if isinstance(plan, ByRole | Explicit) and (problems := _uncovered(plan, places)):
        raise SpecError(problems)
    return plan


def rank_at(plan: EachPlan, place: Place, facts: BaseFacts) -> int:
    """The rank at a place; outside the stack the top tier's. At experts it is the plan's rank divided by the number of
    experts that answer for one token, at least 1, so that a token meets the rank that was asked for.

    Source of the division: Schulman and Thinking Machines 2025, "LoRA Without Regret", on mixtures of experts.
    """
    rank = _planned(plan, place, facts)
    return max(1, rank // facts.num_active_experts) if place.role.startswith("experts.") else rank


def capacity_rank(bits: float, places: Sequence[Place], facts: BaseFacts, *, headroom: float = 1.0) -> int:
    """The least rank, the same at all `places`, at which they hold `headroom` times `bits`.

    Raises:
        SpecError: no rank up to MAX_RANK is enough.
    """
    needed = ceil(bits * headroom / BITS_PER_PARAM)
    low, high = 1, MAX_RANK
    if (most := _num_params(high, places, facts)) < needed:
        hint = f"That many would need {needed} trained numbers. Adapt more layers, or lower headroom."
        raise SpecError([Problem("bits", bits, f"at most {most * BITS_PER_PARAM / headroom:g}", hint)])
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _num_params(middle, places, facts) >= needed else (middle + 1, high)
    return low


def _num_params(rank: int, places: Iterable[Place], facts: BaseFacts) -> int:
    """Numbers of the two factors of every place."""
    total = 0
    for place in places:
        sides = getattr(place, "in_features", 0) + getattr(place, "out_features", 0)
        total += rank_at(rank, place, facts) * sides * getattr(place, "num_experts", 1)
    return total


def _planned(plan: EachPlan, place: Place, facts: BaseFacts) -> int:
    """Before experts share it."""
    if isinstance(plan, int):
        return plan
    if isinstance(plan, Uniform):
        return plan.rank
    if isinstance(plan, Tiered):
        return _of_tier(plan, place.layer, facts.num_layers)
    if isinstance(plan, ByModelSize):
        return _of_size(plan, facts.num_params)
    rank = _named(plan, place)
    assert rank is not None, "a plan must be settled first"
    return rank


def _of_tier(plan: Tiered, layer: int | None, num_layers: int) -> int:
    """Of a layer's tier.

    >>> [_of_tier(Tiered(), layer, 6) for layer in range(6)]
    [4, 4, 8, 8, 16, 16]
    """
    if layer is None:
        return plan.top
    # with exact thirds of a stack, rounding keeps the tiers equal where floats alone would not
    if layer < round(plan.bottom_frac * num_layers):
        return plan.bottom
    # the top tier begins where the two below it end, so that fractions that fill the stack leave no middle
    return plan.top if layer >= round((1 - plan.top_frac) * num_layers) else plan.middle


def _of_size(plan: ByModelSize, num_params: int) -> int:
    """Of the base's step.

    >>> [_of_size(ByModelSize(), round(billions * 1e9)) for billions in (0.1, 5.9, 6.1, 13, 65.3, 180)]
    [16, 16, 32, 32, 64, 64]
    """
    if num_params < plan.middle_from_params:
        return plan.small
    return plan.middle if num_params < plan.large_from_params else plan.large


def _named(plan: ByRole | Explicit, place: Place) -> int | None:
    """What the plan says of a place: by the narrowest role, or the longest name, that means it. None: nothing."""
    meant = [key for key in plan.ranks if _means(plan, key, place)]
    if not meant:
        return plan.default
    if isinstance(plan, ByRole):
        return plan.ranks[min(meant, key=lambda key: (_breadth(key), key))]
    return plan.ranks[min(meant, key=lambda key: (key != place.name, -len(key), key))]


def _means(plan: ByRole | Explicit, key: str, place: Place) -> bool:
    return has_role(place.role, key) if isinstance(plan, ByRole) else is_named(place.name, key)


def _breadth(wanted: str) -> int:
    return sum(has_role(role, wanted) for role in KNOWN_ROLES - ALIASES.keys())


def _uncovered(plan: ByRole | Explicit, places: Sequence[Place]) -> list[Problem]:
    """Keys that mean no place, and places that no key means."""
    by_role = isinstance(plan, ByRole)
    there = list(dict.fromkeys(p.role if by_role else p.name for p in places))
    leaves = list(dict.fromkeys(name.rpartition(".")[2] for name in there))
    offered = [*there, *(a for a in ALIASES if any(has_role(r, a) for r in there))] if by_role else [*leaves, *there]
    problems = []
    for key, rank in plan.ranks.items():
        if not any(_means(plan, key, place) for place in places):
            known = ", ".join(there if by_role else leaves)
            hint = f"{did_you_mean(key, offered)} {'Roles' if by_role else 'Names'} adapted here: {known}.".strip()
            expected = f"a {'role' if by_role else 'name or pattern'} that means a layer that is adapted"
            problems.append(Problem(f"ranks.{key}", rank, expected, hint))
    if bare := list(dict.fromkeys(p.role if by_role else p.name for p in places if _named(plan, p) is None)):
        more = f" and {len(bare) - 3} more" if len(bare) > 3 else ""
        expected = f"a rank; {', '.join(bare[:3])}{more} would have none"
        problems.append(Problem("default", None, expected, "Give a default, or name them."))
    return problems
