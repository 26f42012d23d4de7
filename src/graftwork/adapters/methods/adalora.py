"""AdaLoRA: an update in the form of a singular value decomposition whose directions compete for one budget.

    y = x W^T + s ((x A^T) * e) B^T,   s = alpha / init_rank

While it trains, every number p of A, e and B has a sensitivity |p dL/dp|, smoothed over steps into M, and an
uncertainty |sensitivity - M|, smoothed into U. A direction's importance is M U of its singular value plus the means of
M U over its row of A and its column of B. The budget, in directions of all places together, falls from `init_rank` a
place to `rank` a place by a cubic curve, and the singular values of the least important directions beyond it are set to
zero; they may grow back until the budget is final. Then the choice stands, and after the last step what was not chosen
is cut away. A penalty holds the rows of A, and the columns of B, near orthonormal.

The schedule is told in shares of the training, so that it holds for any number of steps.

Legend: N tokens, I in features, O out features, R rank.

Source: Zhang et al. 2023, https://arxiv.org/abs/2303.10512, sections 3.1 to 3.3; smoothing and the schedule as in PEFT.
Departs from it: the budget is met exactly, ties going to the places that come first; PEFT's threshold may keep fewer.
The norms of the penalty are not squared and are averaged over tensors, as in PEFT and the authors' own code. PEFT adds
1e-5 to the rank that alpha is divided by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from graftwork.adapters.evolution import Evolution, Gradients, Moment, State
from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.ranks import MAX_RANK, RankPlan
from graftwork.adapters.targets import LinearSpec
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import parse, plain

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.adapter import Placed
    from graftwork.base.facts import LinearPlace

START_STD = 0.02
"""Of A and B, as in PEFT and the authors' own code."""

TRAINED = ("a_RI", "e_R", "b_OR")


class AdaLoraSpec(LinearSpec):
    """A request for AdaLoRA."""

    method: Literal["adalora"] = "adalora"
    """Says which method this is."""

    rank: RankPlan = Field(
        default=8, examples=[3, {"kind": "uniform", "rank": 3}, {"kind": "tiered", "bottom": 1, "middle": 2, "top": 3}]
    )
    """Directions kept, the mean over places: a number, or a plan that sums to the budget. 4 to 32 are usual."""

    init_rank: int = Field(default=12, ge=1, le=MAX_RANK)
    """Directions that each place starts with, at least rank. One and a half times rank is usual."""

    alpha: float = Field(default=32.0, gt=0, le=1e6)
    """Strength: the update is scaled by alpha / init_rank."""

    scale_rank: int | None = Field(default=None, ge=1, le=MAX_RANK, examples=[5])
    """What alpha is divided by if not init_rank. A trained place has here the rank that it started with."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the update's inputs zeroed while training. 0 to 0.1 are usual."""

    warmup_frac: float = Field(default=0.1, ge=0, lt=1, examples=[0.4])
    """Share of the steps before the budget begins to fall. 0.05 to 0.2 are usual."""

    final_frac: float = Field(default=0.3, ge=0, lt=1, examples=[0.1])
    """Share of the steps at the end, after the last choice. 0.2 to 0.5 are usual."""

    every: int = Field(default=1, ge=1, examples=[3])
    """Steps between choices while the budget falls. 1 to 100 are usual."""

    beta1: float = Field(default=0.85, gt=0, lt=1, examples=[0.1])
    """Memory of the sensitivity. 0.85 is usual."""

    beta2: float = Field(default=0.85, gt=0, lt=1, examples=[0.1])
    """Memory of the uncertainty. 0.85 to 0.95 are usual."""

    orth_weight: float = Field(default=0.5, ge=0, le=1e6, examples=[0.0])
    """Weight of the penalty that keeps directions orthonormal. 0.1 to 0.5 are usual."""

    @model_validator(mode="after")
    def _makes_sense(self) -> AdaLoraSpec:
        problems = []
        if isinstance(self.rank, int) and self.init_rank < self.rank:
            hint = "The budget falls from init_rank to rank."
            problems.append(Problem("init_rank", self.init_rank, f"at least rank = {self.rank}", hint))
        if self.warmup_frac + self.final_frac >= 1:
            expected = f"less than 1 - warmup_frac = {1 - self.warmup_frac:g}"
            problems.append(Problem("final_frac", self.final_frac, expected, "No step is left for the budget to fall."))
        if problems:
            raise SpecError(problems)
        return self

    @property
    def scale(self) -> float:
        """What the update is multiplied by."""
        return self.alpha / (self.scale_rank or self.init_rank)


def shapes(spec: AdaLoraSpec, place: LinearPlace) -> Shapes:
    """The three factors, and which directions are kept: 1 or 0."""
    rank = spec.init_rank
    return {"a_RI": (rank, place.in_features), "e_R": (rank,), "b_OR": (place.out_features, rank), "kept_R": (rank,)}


def init(spec: AdaLoraSpec, frozen: Frozen, generator: Generator) -> Params:
    """A and B small and Gaussian, singular values zero: a fresh adapter changes nothing."""
    import torch  # here, so that what only reads specs and shapes never loads it

    drawn = {name: torch.empty(shape) for name, shape in shapes(spec, frozen.place).items()}  # type: ignore[arg-type]
    return {
        "a_RI": drawn["a_RI"].normal_(std=START_STD, generator=generator),
        "e_R": drawn["e_R"].zero_(),
        "b_OR": drawn["b_OR"].normal_(std=START_STD, generator=generator),
        "kept_R": drawn["kept_R"].fill_(1),
    }


def act(spec: AdaLoraSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The singular values go with A."""
    down_RI = params["a_RI"] * params["e_R"][:, None]
    return LinearForm(down_RI=down_RI, up_OR=params["b_OR"], scale=spec.scale, dropout=spec.dropout)


def penalty(spec: AdaLoraSpec, params: Params) -> Tensor:
    """How far A's rows and B's columns are from orthonormal."""
    a_RI, b_OR = params["a_RI"], params["b_OR"]
    return spec.orth_weight * (_off_orthonormal(a_RI @ a_RI.T) + _off_orthonormal(b_OR.T @ b_OR)) / 2


def budget_at(spec: AdaLoraSpec, moment: Moment, start: int, end: int) -> int | None:
    """Directions that may be left of all after a step; None when none are to be chosen.

    >>> spec = AdaLoraSpec(warmup_frac=0.25, final_frac=0.25)
    >>> [budget_at(spec, Moment(step=step, num_steps=8), 100, 20) for step in range(1, 9)]
    [None, None, 53, 30, 21, 20, None, None]
    """
    first, last = _span(spec, moment.num_steps)
    if moment.step == last:
        return end
    if not first < moment.step < last or moment.step % spec.every:
        return None
    left = 1 - (moment.step - first) / (last - first)
    return int((start - end) * left**3 + end)


def check(spec: AdaLoraSpec, num_steps: int) -> list[Problem]:
    """There must be a step to learn from before the last choice, and the budget must have steps to fall in."""
    first, last = _span(spec, num_steps)
    if first < last and last >= 2:
        return []
    expected = f"less, in a training of {num_steps} steps"
    hint = f"The budget would have to fall between step {first} and step {last}, the first of all for learning alone."
    return [Problem("final_frac", spec.final_frac, expected, hint)]


def begin(spec: AdaLoraSpec, placed: Mapping[str, Placed]) -> State:
    """Sensitivities and uncertainties, zero."""
    return {
        f"{key}/{name}/{kind}": here.params[name].detach().new_zeros(here.params[name].shape)
        for key, here in placed.items()
        for name in TRAINED
        for kind in ("sensitivity", "uncertainty")
    }


def step(spec: AdaLoraSpec, placed: Mapping[str, Placed], gradients: Gradients, state: State, moment: Moment) -> None:
    """Learn what matters, and set the singular values of what matters least to zero."""
    last = _span(spec, moment.num_steps)[1]
    if moment.step < last:
        for key, here in placed.items():
            for name, grad in gradients[key].items():
                _observe(spec, here.params[name], grad, state, f"{key}/{name}")
    start, end = (sum(n) for n in zip(*((h.params["e_R"].numel(), _rank(h)) for h in placed.values()), strict=True))
    budget = budget_at(spec, moment, start, end)
    if budget is not None:
        for key, kept_R in _chosen(placed, state, budget).items():
            placed[key].params["e_R"].masked_fill_(~kept_R, 0)
            if moment.step == last:
                placed[key].params["kept_R"].copy_(kept_R)
    if moment.step > last:  # Adam's momentum and gradients would bring them back
        for here in placed.values():
            here.params["e_R"].masked_fill_(here.params["kept_R"] == 0, 0)


def finish(spec: AdaLoraSpec, placed: Mapping[str, Placed]) -> Mapping[str, Placed]:
    """Each place with the directions it has kept; a place that has kept none is gone."""
    return {key: _cut(here) for key, here in placed.items() if here.params["kept_R"].any()}


def _span(spec: AdaLoraSpec, num_steps: int) -> tuple[int, int]:
    """The budget falls after the first of these steps, and is final at the last."""
    return round(spec.warmup_frac * num_steps), num_steps - round(spec.final_frac * num_steps)


def _off_orthonormal(gram_RR: Tensor) -> Tensor:
    import torch

    eye_RR = torch.eye(len(gram_RR), dtype=gram_RR.dtype, device=gram_RR.device)
    return torch.linalg.matrix_norm(gram_RR - eye_RR)  # type: ignore[no-any-return]


def _observe(spec: AdaLoraSpec, param: Tensor, grad: Tensor, state: State, name: str) -> None:
    """One step's sensitivity; the uncertainty is told against the smoothed one of the same step."""
    now = (param * grad).abs()
    mean, spread = state[f"{name}/sensitivity"], state[f"{name}/uncertainty"]
    mean.copy_(spec.beta1 * mean + (1 - spec.beta1) * now)
    spread.copy_(spec.beta2 * spread + (1 - spec.beta2) * (now - mean).abs())


def _chosen(placed: Mapping[str, Placed], state: State, budget: int) -> dict[str, Tensor]:
    """Which directions are left, by place: the most important of all, exactly `budget` of them."""
    import torch

    scores = {key: _importance_R(key, state) for key in placed}
    ranked = torch.argsort(torch.cat([*scores.values()]), descending=True, stable=True)
    kept = torch.zeros_like(ranked, dtype=torch.bool)
    kept[ranked[:budget]] = True
    return dict(zip(scores, kept.split([len(one) for one in scores.values()]), strict=True))


def _importance_R(key: str, state: State) -> Tensor:
    a_RI, e_R, b_OR = (state[f"{key}/{name}/sensitivity"] * state[f"{key}/{name}/uncertainty"] for name in TRAINED)
    return e_R + (a_RI.mean(1) + b_OR.mean(0))


def _rank(here: Placed) -> int:
    rank: Any = here.spec.rank  # type: ignore[attr-defined]
    assert isinstance(rank, int), "a rank plan must be resolved for its place first"
    return rank


def _cut(here: Placed) -> Placed:
    assert isinstance(here.spec, AdaLoraSpec)
    kept_R = here.params["kept_R"] != 0
    rank = int(kept_R.sum())
    told = {"rank": rank, "init_rank": rank, "scale_rank": here.spec.scale_rank or here.spec.init_rank}
    params = {
        "a_RI": here.params["a_RI"][kept_R],
        "e_R": here.params["e_R"][kept_R],
        "b_OR": here.params["b_OR"][:, kept_R].contiguous(),
        "kept_R": here.params["kept_R"][kept_R],
    }
    left = {name: tensor.detach().clone() for name, tensor in params.items()}
    return replace(here, spec=parse(AdaLoraSpec, {**plain(here.spec), **told}), params=left, memo=Memo())


METHODS.add(
    "adalora",
    Method(
        name="adalora",
        site="linear",
        spec=AdaLoraSpec,
        source="https://arxiv.org/abs/2303.10512",
        shapes=shapes,
        init=init,
        act=act,
        kept=("kept_R",),
        penalty=penalty,
        evolution=Evolution(check=check, begin=begin, step=step, finish=finish),
    ),
)
