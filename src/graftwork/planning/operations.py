"""Multiply-adds of a training step, and why an adapter's step is two thirds of full tuning's. Pure.

One N x N matrix and one token: forward N^2, gradient of the input N^2, of the weight N^2. Full tuning 3 N^2. An
adapter's weight is frozen, and its two factors take 2 N r forward and 4 N r backward: 2 N^2 + 6 N r. For a matrix of I
columns and O rows: 3 I O against 2 I O + 3 r (I + O).

Beside that: a layer below all adapters has no backward pass, recomputing adds a forward pass of the layers, experts are
computed for the tokens they answer, attention takes 2 D a head and score forward and 5 D backward, and the head is
computed at targets alone, forward and for its input.

Source: Schulman and Thinking Machines 2025, "LoRA Without Regret", section "Compute efficiency",
https://thinkingmachines.ai/blog/lora/.
Departs from it: attention, head and recomputing are counted too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked
    from graftwork.base.facts import BaseFacts
    from graftwork.planning.figures import Heads
    from graftwork.planning.workload import Pass

ATTENTION_FORWARD, ATTENTION_BACKWARD = 2, 5
"""Products of a score with a head's numbers: scores and values; again the scores, and the gradients of all four."""


def full_per_token(in_features: int, out_features: int) -> int:
    """Multiply-adds of full tuning for one matrix and token.

    >>> full_per_token(4096, 4096) == 3 * 4096**2
    True
    """
    return 3 * in_features * out_features


def adapted_per_token(in_features: int, out_features: int, rank: int) -> int:
    """The same with a frozen matrix and two factors of `rank`.

    >>> round(adapted_per_token(8192, 8192, 16) / full_per_token(8192, 8192), 4)
    0.6706
    """
    return 2 * in_features * out_features + 3 * rank * (in_features + out_features)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operations:
    """Multiply-adds.

    Attributes:
        frozen: of the base's linear layers, forward and for the gradients of their inputs.
        weights: for the gradients of weights that are trained; 0 with an adapter.
        adapter: of its own products. recomputed: of passes that are made again.
    """

    frozen: float
    weights: float
    adapter: float
    attention: float
    head: float
    recomputed: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.frozen + self.weights + self.adapter + self.attention + self.head + self.recomputed


def operations_of(
    passes: Iterable[Pass],
    facts: BaseFacts,
    asked: Mapping[str, Asked],
    *,
    is_full: bool,
    recomputes: bool,
    heads: Heads,
) -> Operations:
    """Of all `passes` together.

    Args:
        asked: what is adapted; empty with full tuning.
    """
    passes = tuple(passes)
    tokens, targets, scores = (sum(getattr(one, part) for one in passes) for part in ("tokens", "targets", "scores"))
    forward = inner_per_token(facts)
    lowest = 0 if is_full else lowest_layer(asked)
    reached = (facts.num_layers - lowest) / facts.num_layers
    per_score = heads.queries * heads.dim * facts.num_layers
    outer = facts.vocab_size * facts.hidden_size
    return Operations(
        frozen=tokens * forward * (1 + reached),
        weights=tokens * forward + targets * outer if is_full else 0.0,
        adapter=3.0 * tokens * sum(trained_per_token(here, facts) for here in asked.values()),
        attention=scores * per_score * (ATTENTION_FORWARD + ATTENTION_BACKWARD * reached),
        head=2.0 * targets * outer,
        recomputed=tokens * forward + scores * per_score * ATTENTION_FORWARD if recomputes else 0.0,
    )


def inner_per_token(facts: BaseFacts) -> float:
    """Multiply-adds of a forward pass through the layers for one token, without attention's scores."""
    linear = sum(p.in_features * p.out_features for p in facts.places if p.role != "head" and not is_an_expert(p.role))
    fused = sum(p.in_features * p.out_features * facts.num_active_experts for p in facts.experts)
    return float(linear + fused + _separate_experts(facts))


def _separate_experts(facts: BaseFacts) -> float:
    """Of bases whose experts are linear layers of their own: the share that answers for a token."""
    apart = [p for p in facts.places if is_an_expert(p.role)]
    number = len({p.name.rpartition(".")[0] for p in apart if p.layer == apart[0].layer}) if apart else 1
    return sum(p.in_features * p.out_features for p in apart) * facts.num_active_experts / number


def is_an_expert(role: str) -> bool:
    """Whether layers of this role answer for some tokens only."""
    return role.startswith("experts.")


def lowest_layer(asked: Mapping[str, Asked]) -> int:
    """The lowest layer that anything is trained in; nothing below it has a backward pass."""
    return min((here.place.layer or 0 for here in asked.values()), default=0)


def trained_per_token(here: Asked, facts: BaseFacts) -> int:
    """Numbers of an adapter at one place that a token is multiplied by: its matrices."""
    shapes = here.method.shapes(here.spec, here.place)
    matrices = [shape for name, shape in shapes.items() if len(shape) >= 2 and name not in here.method.kept]
    if here.method.site in ("attention_cache", "input_embedding"):
        return 0
    total = sum(prod(shape) for shape in matrices)
    experts = getattr(here.place, "num_experts", 1)
    return total * facts.num_active_experts // experts if experts > 1 else total
