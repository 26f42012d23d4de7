"""How much a training has to teach, how much an adapter can hold, and the rank that covers it. Pure.

    bits in the data = sum over learned tokens of -log2 p(token) in the first pass, a bound on what is to be learned
    bits held        = 2 a trained number
    rank             = the least at which  2 * numbers(rank) >= headroom * bits

Measured, the bits are the base's own loss on a sample of the data, times its learned tokens. Without that: 1 bit
a learned token with supervision, 1 bit an episode with rewards. What is learned over several epochs is not more bits.

Source: 2 bits a parameter: Allen-Zhu and Li 2024, https://arxiv.org/abs/2404.05405; the first pass's loss as a bound,
and 1 bit a token or episode: Schulman and Thinking Machines 2025, https://thinkingmachines.ai/blog/lora/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from graftwork.adapters.ranks import BITS_PER_PARAM, MAX_RANK, Tiered, capacity_rank, rank_at
from graftwork.core.errors import SpecError

if TYPE_CHECKING:
    from graftwork.base.facts import BaseFacts, Place

BITS_PER_TOKEN, BITS_PER_EPISODE = 1.0, 1.0
TIERS = (1, 2, 4)
"""Ranks of the tiers from the bottom to the top, as multiples of the lowest one's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What the data has to teach against what the adapter can hold, in bits.

    Attributes:
        is_measured: whether the bits of the data come from the base's own loss on it.
        rank: the least, the same everywhere, that covers the data with its headroom; None if none does.
        tiers: the least of ranks at 1 : 2 : 4 from the bottom third of the layers to the top third.
    """

    data_bits: float
    adapter_bits: float
    headroom: float
    is_measured: bool
    rank: int | None
    tiers: tuple[int, int, int] | None

    @property
    def covers(self) -> bool:
        """Whether the adapter holds the data's bits with the headroom."""
        return self.adapter_bits >= self.headroom * self.data_bits


def bits_of(nats_per_target: float, num_targets: float) -> float:
    """Bits of `num_targets` learned tokens.

    >>> round(bits_of(log(2), 1000))
    1000
    """
    return nats_per_target / log(2) * num_targets


def assumed_bits(num_targets: float = 0, num_episodes: float = 0) -> float:
    """Without a measurement."""
    return BITS_PER_TOKEN * num_targets + BITS_PER_EPISODE * num_episodes


def capacity_of(
    data_bits: float,
    trained: int,
    places: Sequence[Place],
    facts: BaseFacts,
    *,
    headroom: float = 1.0,
    is_measured: bool = False,
) -> Capacity:
    """Against what `trained` numbers hold; `places` are those of a low-rank method, or none."""
    ranked = [p for p in places if hasattr(p, "in_features")]
    return Capacity(
        data_bits=data_bits,
        adapter_bits=trained * BITS_PER_PARAM,
        headroom=headroom,
        is_measured=is_measured,
        rank=_rank(data_bits, ranked, facts, headroom) if ranked else None,
        tiers=_tiers(data_bits * headroom, ranked, facts) if ranked else None,
    )


def _rank(bits: float, places: Sequence[Place], facts: BaseFacts, headroom: float) -> int | None:
    try:
        return capacity_rank(bits, places, facts, headroom=headroom)
    except SpecError:
        return None


def _tiers(bits: float, places: Sequence[Place], facts: BaseFacts) -> tuple[int, int, int] | None:
    """The least ranks k, 2k, 4k whose numbers hold `bits`."""
    low, high = 1, MAX_RANK // TIERS[-1]
    if _held(high, places, facts) < bits:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _held(middle, places, facts) >= bits else (middle + 1, high)
    return low * TIERS[0], low * TIERS[1], low * TIERS[2]


def _held(lowest: int, places: Sequence[Place], facts: BaseFacts) -> float:
    plan = Tiered(bottom=lowest * TIERS[0], middle=lowest * TIERS[1], top=lowest * TIERS[2])
    sides = ((p.in_features + p.out_features) * getattr(p, "num_experts", 1) for p in places)  # type: ignore[union-attr]
    return BITS_PER_PARAM * sum(rank_at(plan, p, facts) * s for p, s in zip(places, sides, strict=True))
