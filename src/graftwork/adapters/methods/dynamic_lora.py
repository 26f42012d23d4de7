"""Dynamic LoRA: LoRA whose rank moves, while it trains, to the layers that matter more.

    y = x W^T + s (x A^T) B^T,   s = alpha / rank, or alpha / sqrt(rank) when rank-stabilised

Every place starts with `cap` directions. A layer's importance is |p dL/dp|, the mean over the numbers p of its A and B,
smoothed over steps. At `allocate_frac` of the training the budget, `rank` a place, is dealt out: in proportion to
importance, within `min_rank` and `cap`, in whole directions by largest remainder, so that it is spent exactly. Each
place keeps its directions with the largest |b| |a|; the others are set to zero in A and in B, where their gradient is
zero too, and again after every step, for Adam's momentum would move them. After the last step they are cut away, and
what is left is a plain LoRA with a rank of its own at each place.

Some call this "dynamic DoRA"; it has nothing to do with DoRA, which decomposes a weight into magnitude and direction.

Legend: N tokens, I in features, O out features, R rank.

Source: importance as in Molchanov et al. 2019, https://arxiv.org/abs/1906.10771, section 3 (first order); budgets that
follow it: Zhang et al. 2023, https://arxiv.org/abs/2303.10512, section 3.2.
Departs from it: ranks are dealt out once, layer by layer and in proportion, instead of direction by direction at every
step; the update is LoRA's product, without singular values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from graftwork.adapters.evolution import Evolution, Gradients, Moment, State
from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods.lora import LoraSpec, LowRank, started
from graftwork.adapters.ranks import MAX_RANK
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.adapter import Placed
    from graftwork.base.facts import LinearPlace


class DynamicLoraSpec(LowRank):
    """A request for dynamic LoRA. `rank` is the mean over places, a plan's sum over places the budget."""

    method: Literal["dynamic_lora"] = "dynamic_lora"
    """Says which method this is."""

    cap: int = Field(default=32, ge=1, le=MAX_RANK)
    """Most directions of a place, and those it starts with; at least rank. Twice rank is usual."""

    min_rank: int = Field(default=1, ge=0, le=MAX_RANK, examples=[0, 4])
    """Fewest directions of a place, at most rank; with 0 a place may be given up. 0 to 4 are usual."""

    allocate_frac: float = Field(default=0.3, gt=0, lt=1)
    """Share of the steps after which rank is dealt out for good. 0.2 to 0.5 are usual."""

    memory: float = Field(default=0.85, ge=0, lt=1, examples=[0.0])
    """Share of a layer's importance that stays at each step. 0.85 to 0.99 are usual."""

    @model_validator(mode="after")
    def _fits_its_bounds(self) -> DynamicLoraSpec:
        problems = []
        if isinstance(self.rank, int) and self.cap < self.rank:
            problems.append(Problem("cap", self.cap, f"at least rank = {self.rank}"))
        if isinstance(self.rank, int) and self.min_rank > self.rank:
            problems.append(Problem("min_rank", self.min_rank, f"at most rank = {self.rank}"))
        if problems:
            raise SpecError(problems)
        return self


def allocated(importance: Sequence[float], total: int, low: int, high: int) -> list[int]:
    """Deal `total` directions out to places, in proportion to importance and within bounds.

    All are dealt out, and a more important place never gets fewer than a less important one.

    Args:
        importance: of each place, at least 0.
        total: from `low` to `high` times the number of places.

    >>> allocated([1.0, 2.0, 5.0], 8, 1, 16), allocated([1.0, 2.0, 5.0], 9, 2, 4), allocated([0.0, 0.0], 5, 0, 8)
    ([1, 2, 5], [2, 3, 4], [3, 2])
    """
    assert low * len(importance) <= total <= high * len(importance)
    shares = _shares([Fraction(one) for one in importance], total, low, high)
    ranks = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: ranks[i] - shares[i])  # largest first; ties in order
    for i in by_remainder[: total - sum(ranks)]:
        ranks[i] += 1
    return ranks


def shapes(spec: DynamicLoraSpec, place: LinearPlace) -> Shapes:
    """A and B with all the directions that a place may keep, and which it does: 1 or 0."""
    return {"a_RI": (spec.cap, place.in_features), "b_OR": (place.out_features, spec.cap), "kept_R": (spec.cap,)}


def init(spec: DynamicLoraSpec, frozen: Frozen, generator: Generator) -> Params:
    """A uniform in +-1/sqrt(in features), B zero: a fresh adapter changes nothing."""
    out_features, in_features = frozen.weight.shape
    a_RI = started("kaiming_uniform", spec.cap, in_features, generator)
    return {"a_RI": a_RI, "b_OR": a_RI.new_zeros(out_features, spec.cap), "kept_R": a_RI.new_ones(spec.cap)}


def act(spec: DynamicLoraSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The update itself."""
    return LinearForm(down_RI=params["a_RI"], up_OR=params["b_OR"], scale=spec.scale, dropout=spec.dropout)


def as_lora(spec: DynamicLoraSpec, params: Params) -> tuple[Spec, Params]:
    """The same update as a LoRA of the rank that is there."""
    raw = {"rank": spec.cap, "alpha": _alpha(spec, spec.cap), "scaling": spec.scaling, "dropout": spec.dropout}
    return parse(LoraSpec, raw), {"a_RI": params["a_RI"], "b_OR": params["b_OR"]}


def check(spec: DynamicLoraSpec, num_steps: int) -> list[Problem]:
    """There must be steps left after rank is dealt out."""
    if _allocated_at(spec, num_steps) < num_steps:
        return []
    expected = f"less, in a training of {num_steps} steps"
    return [Problem("allocate_frac", spec.allocate_frac, expected, "No step would be left after rank is dealt out.")]


def begin(spec: DynamicLoraSpec, placed: Mapping[str, Placed]) -> State:
    """Importances, zero."""
    return {key: here.params["kept_R"].new_zeros(()) for key, here in placed.items()}


def step(
    spec: DynamicLoraSpec, placed: Mapping[str, Placed], gradients: Gradients, state: State, moment: Moment
) -> None:
    """Learn what matters, deal rank out once, and keep the other directions at zero."""
    at = _allocated_at(spec, moment.num_steps)
    if moment.step <= at:
        for key, here in placed.items():
            state[key].mul_(spec.memory).add_((1 - spec.memory) * _importance(here.params, gradients[key]))
    if moment.step == at:
        _deal_out(spec, placed, state)
    if moment.step >= at:
        for here in placed.values():
            gone_R = here.params["kept_R"] == 0
            here.params["a_RI"].masked_fill_(gone_R[:, None], 0)
            here.params["b_OR"].masked_fill_(gone_R, 0)


def finish(spec: DynamicLoraSpec, placed: Mapping[str, Placed]) -> Mapping[str, Placed]:
    """Each place with the directions it has kept; a place that has kept none is gone."""
    return {key: _cut(here) for key, here in placed.items() if here.params["kept_R"].any()}


def _shares(weights: list[Fraction], total: int, low: int, high: int) -> list[Fraction]:
    """Proportional to weights, held within bounds; they sum to `total`."""
    bounds = sorted({bound / weight for weight in weights if weight for bound in (low, high)})
    if not bounds or total > high * sum(map(bool, weights)) + low * weights.count(Fraction(0)):
        rest = total - high * sum(map(bool, weights))  # those that matter have all they may have
        return [Fraction(high) if weight else Fraction(rest, weights.count(Fraction(0))) for weight in weights]

    def held(factor: Fraction) -> list[Fraction]:
        return [min(max(factor * weight, Fraction(low)), Fraction(high)) for weight in weights]

    below, above = Fraction(0), bounds[-1]  # between two neighbouring bounds the sum is a straight line
    first, beyond = 0, len(bounds) - 1
    while first <= beyond:
        middle = (first + beyond) // 2
        if sum(held(bounds[middle])) <= total:
            below, first = bounds[middle], middle + 1
        else:
            above, beyond = bounds[middle], middle - 1
    at_below, at_above = sum(held(below)), sum(held(above))
    if at_above == at_below:
        return held(below)
    return held(below + (above - below) * (total - at_below) / (at_above - at_below))


def _allocated_at(spec: DynamicLoraSpec, num_steps: int) -> int:
    return max(1, round(spec.allocate_frac * num_steps))


def _importance(params: Params, gradients: Mapping[str, Tensor]) -> Tensor:
    total = sum((params[name] * grad).abs().sum() for name, grad in gradients.items())
    return total / sum(grad.numel() for grad in gradients.values())  # type: ignore[return-value]


def _deal_out(spec: DynamicLoraSpec, placed: Mapping[str, Placed], state: State) -> None:
    budget = sum(_spec_of(here).resolved_rank for here in placed.values())
    importance = [state[key].item() for key in placed]
    ranks = allocated(importance, budget, spec.min_rank, spec.cap)
    for here, rank in zip(placed.values(), ranks, strict=True):
        size_R = here.params["a_RI"].norm(dim=1) * here.params["b_OR"].norm(dim=0)
        here.params["kept_R"].zero_()[size_R.argsort(descending=True, stable=True)[:rank]] = 1


def _cut(here: Placed) -> Placed:
    spec, kept_R = _spec_of(here), here.params["kept_R"] != 0
    rank = int(kept_R.sum())
    told = {"rank": rank, "cap": rank, "min_rank": min(spec.min_rank, rank), "alpha": _alpha(spec, rank)}
    params = {
        "a_RI": here.params["a_RI"][kept_R],
        "b_OR": here.params["b_OR"][:, kept_R].contiguous(),
        "kept_R": here.params["kept_R"][kept_R],
    }
    left = {name: tensor.detach().clone() for name, tensor in params.items()}
    return replace(here, spec=parse(DynamicLoraSpec, {**plain(spec), **told}), params=left, memo=Memo())


def _alpha(spec: DynamicLoraSpec, rank: int) -> float:
    """The alpha that gives the same strength at another rank."""
    return spec.alpha if rank == spec.resolved_rank else spec.scale * _divisor(spec, rank)


def _divisor(spec: DynamicLoraSpec, rank: int) -> float:
    return rank if spec.scaling == "classic" else rank**0.5


def _spec_of(here: Placed) -> DynamicLoraSpec:
    assert isinstance(here.spec, DynamicLoraSpec)
    return here.spec


METHODS.add(
    "dynamic_lora",
    Method(
        name="dynamic_lora",
        site="linear",
        spec=DynamicLoraSpec,
        source="https://arxiv.org/abs/1906.10771",
        shapes=shapes,
        init=init,
        act=act,
        kept=("kept_R",),
        evolution=Evolution(check=check, begin=begin, step=step, finish=finish),
        plain=as_lora,
    ),
)
