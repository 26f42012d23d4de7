"""What follows from the levels that were measured: whether prompting does it, training pays, or more must be measured.
Pure.

With a tuned level t and the best level p of prompting, d = t - p on the same records and [low, high] its 95 % interval:

    high < margin      prompting is as good as tuning, within the margin: no training is needed
    low > 0            tuning is better
    else               not shown either way: more records are needed

Without a tuned level, prompting does it when the lower end of its interval reaches what is enough.

Source: the interval of a difference of shares on the same records: Agresti and Min 2005,
https://doi.org/10.1002/sim.1781 (half a pair added to each of the four outcomes). Of other numbers: the mean of the
differences with 1.96 standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt
from typing import Literal

from graftwork.evaluation.estimate import mean_of

Kind = Literal["zero-shot", "few-shot", "tuned"]
Verdict = Literal["prompt", "tune", "train and compare", "measure more"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One way to get answers, as far as the advice is concerned.

    Attributes:
        name: for people.
        scores: of each record in the same order at every level; more is better.
        low: lower end of the 95 % interval of their mean.
        prompt_tokens: of a mean request.
    """

    name: str
    kind: Kind
    scores: tuple[float, ...]
    low: float
    prompt_tokens: float

    @property
    def mean(self) -> float:
        """Of the scores."""
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """What one level has over another on the same records."""

    over: str
    name: str
    difference: float
    low: float
    high: float
    more_tokens: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What to do, and why.

    Attributes:
        steps: what each level buys over the one before.
    """

    verdict: Verdict
    text: str
    reasons: tuple[str, ...]
    steps: tuple[Bought, ...]


def advise(levels: Sequence[Level], *, margin: float, enough: float | None, are_shares: bool) -> Advice:
    """What follows from `levels`: zero-shot first, few-shot by number of examples, tuned last if there is one.

    Args:
        margin: differences below it do not matter; in the unit of the scores.
        enough: a mean that is good enough; None where no mean says so by itself.
        are_shares: every score is 0 or 1.
    """
    steps = tuple(bought(a, b, are_shares=are_shares) for a, b in pairwise(levels))
    prompting = [level for level in levels if level.kind != "tuned"]
    best = max(prompting, key=lambda level: (level.mean, -level.prompt_tokens))
    tuned = next((level for level in levels if level.kind == "tuned"), None)
    if tuned is None:
        return _untuned(best, steps, enough)
    gain = bought(best, tuned, are_shares=are_shares)
    told = f"tuned has {_signed(gain.difference)} over {best.name} ({_interval(gain)})"
    saved = f"It takes {best.prompt_tokens - tuned.prompt_tokens:,.0f} tokens less a request."
    if gain.high < margin:
        text = f"No training is needed: {best.name} is as good as tuned, to within {margin:.3g}."
        cost = f"{best.name} takes {best.prompt_tokens:,.0f} tokens a request, tuned {tuned.prompt_tokens:,.0f}."
        return Advice(verdict="prompt", text=text, reasons=(told, cost), steps=steps)
    if gain.low > 0:
        small = () if gain.low >= margin else (f"It may be less than the margin of {margin:.3g}.",)
        text = f"Train: tuned is better than {best.name}."
        return Advice(verdict="tune", text=text, reasons=(told, saved, *small), steps=steps)
    text = f"Not shown either way on {len(tuned.scores)} records: hold out about {needed(best, tuned, margin):,}."
    return Advice(verdict="measure more", text=text, reasons=(told,), steps=steps)


def bought(lower: Level, upper: Level, *, are_shares: bool) -> Bought:
    """What `upper` has over `lower`, record by record."""
    pairs = list(zip(lower.scores, upper.scores, strict=True))
    differences = [b - a for a, b in pairs]
    if are_shares:
        won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        num = len(pairs) + 2
        middle = (won - lost) / num
        half = 1.96 * sqrt(max(0.0, won + lost + 1 - (won - lost) ** 2 / num)) / num
    else:
        told = mean_of(differences)
        middle, half = told.mean, 1.96 * told.stderr
    return Bought(
        over=lower.name,
        name=upper.name,
        difference=sum(differences) / len(differences),
        low=middle - half,
        high=middle + half,
        more_tokens=upper.prompt_tokens - lower.prompt_tokens,
    )


def needed(lower: Level, upper: Level, margin: float) -> int:
    """Records with which a difference such as this one, but at least the margin, would show."""
    differences = [b - a for a, b in zip(lower.scores, upper.scores, strict=True)]
    told = mean_of(differences)
    spread = told.stderr * sqrt(len(differences))
    return max(len(differences) + 1, ceil((1.96 * spread / max(abs(told.mean), margin)) ** 2))


def _untuned(best: Level, steps: tuple[Bought, ...], enough: float | None) -> Advice:
    if enough is not None and best.low >= enough:
        text = f"No training is needed: {best.name} reaches {best.mean:.3f}, at least {best.low:.3f}."
        why = (f"{enough:g} is enough.", f"{best.prompt_tokens:,.0f} tokens a request.")
        return Advice(verdict="prompt", text=text, reasons=why, steps=steps)
    text = f"Prompting alone does not do it: train (graftwork run), then ask again. {best.name} comes nearest."
    told = f"{best.name} reaches {best.mean:.3f}, surely only {best.low:.3f}"
    reasons = (f"{told}; {enough:g} would be enough." if enough is not None else f"{best.name} has {best.mean:.3f}.",)
    return Advice(verdict="train and compare", text=text, reasons=reasons, steps=steps)


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _interval(gain: Bought) -> str:
    return f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}"
