"""What follows from the levels that were measured: whether prompting does it, training pays, or more must be measured.
Pure.

With a tuned level t and the best level p of prompting, d = t - p on the same records and [low, high] its 95 % interval:

    high < margin      prompting is as good as tuning, within the margin: no training is needed
    low > 0            tuning is better
    else               not shown either way: more records are needed

Without a tuned level, prompting does it when the lower end of its interval reaches what is enough.

Intervals and records needed are those of any comparison of two subjects; see `evaluation.comparing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from graftwork.evaluation.comparing import Rules, compared
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.result import Comparison
from graftwork.evaluation.sample import sample_of

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
    more = needed(best, tuned, margin, are_shares=are_shares)
    text = f"Not shown either way on {len(tuned.scores)} records: hold out about {more:,}."
    return Advice(verdict="measure more", text=text, reasons=(told,), steps=steps)


def bought(lower: Level, upper: Level, *, are_shares: bool) -> Bought:
    """What `upper` has over `lower`, record by record."""
    told = _compared(lower, upper, are_shares=are_shares, margin=None)
    return Bought(
        over=lower.name,
        name=upper.name,
        difference=told.difference,
        low=told.difference if told.low is None else told.low,  # all records differ by the same
        high=told.difference if told.high is None else told.high,
        more_tokens=upper.prompt_tokens - lower.prompt_tokens,
    )


def needed(lower: Level, upper: Level, margin: float, *, are_shares: bool) -> int:
    """Records with which a difference such as this one, but at least the margin, would show."""
    found = abs(_compared(lower, upper, are_shares=are_shares, margin=None).difference)
    told = _compared(lower, upper, are_shares=are_shares, margin=max(found, margin))
    return max(len(upper.scores) + 1, told.needed_items or 0)


def metric_of(*, are_shares: bool) -> Metric:
    """The metric whose scores these are."""
    return Metric(name="score", unit="score", better="more", about="What the advice follows from.", is_share=are_shares)


def _compared(lower: Level, upper: Level, *, are_shares: bool, margin: float | None) -> Comparison:
    metric = metric_of(are_shares=are_shares)
    alone = [str(number) for number in range(len(upper.scores))]
    ours, theirs = (sample_of(metric, [Score(one) for one in level.scores], alone) for level in (upper, lower))
    return compared(ours, theirs, (upper.name, lower.name), better="more", margin=margin, rules=Rules())


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
