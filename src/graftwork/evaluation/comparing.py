"""Comparing: a subject beside its reference on the same items, by the methods that suit the kind of scores.

                                      interval, not worse              chance of none
yes and no, items that stand alone    Tango                            McNemar, exact
other scores from 0 to 1, or groups   Tango, of the effective number   swap test over groups
all others, and metrics of all        t, jackknife over groups         swap test over groups
items together

The effective number is as many yes-and-no items that stand alone as would be as sure: with `better` the sum of what
the subject gains, `worse` of what it loses, q = (better + worse) / n and d = (better - worse) / n,

    n_effective = (q - d^2) / stderr^2 (t_quantile(n - 1) / t_quantile(freedom))^2

never more than the items where scores are yes and no; where no item differs each group counts as one.
Source: Tango's interval carried over to groups as Korn and Graubard 1998 carry over the exact one (see
`statistics.bounded`); our own, checked by simulation in `benchmarks/simulations.py`.
"""

from dataclasses import dataclass

import numpy as np

from graftwork.evaluation.result import Comparison
from graftwork.evaluation.sample import Sample, why_no_interval
from graftwork.evaluation.statistics.bounded import penalty
from graftwork.evaluation.statistics.distributions import Array, t_cdf, t_quantile
from graftwork.evaluation.statistics.jackknife import Spread, jackknifed
from graftwork.evaluation.statistics.paired_shares import mcnemar, tango, tango_not_worse
from graftwork.evaluation.statistics.power import needed_items, smallest_shown
from graftwork.evaluation.statistics.swaps import swap_test


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How sure is sure.

    Attributes:
        level: of two-sided intervals; what it leaves is the chance of a false "better" or "worse".
        alpha: chance of a false "not worse", of a subject that is worse by the whole margin. Half of what `level`
            leaves, so that "not worse" is an interval that lies above the margin as a whole (ICH E9, section 3.5).
        seed: of drawn swaps.
    """

    level: float = 0.95
    alpha: float = 0.025
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Apart:
    """A difference in the direction in which more is better: interval, largest loss, chance if it were the margin."""

    low: float
    high: float
    loss: float
    p_not_worse: float | None
    by: str


def compared(
    ours: Sample, theirs: Sample, names: tuple[str, str], *, better: str, margin: float | None, rules: Rules
) -> Comparison:
    """The comparison of two samples of the same items in the same order; its verdict and adjustment are left open."""
    sign = 1.0 if better == "more" else -1.0
    spread = spread_between(ours, theirs)
    found = apart(ours, theirs, spread, sign, margin, rules)
    gains_N = sign * (ours.own_N - theirs.own_N)
    stderr = _planning_stderr(ours, gains_N, spread)
    ends = None if found is None else sorted((sign * found.low, sign * found.high))
    return Comparison(
        subject=names[0],
        reference=names[1],
        difference=spread.value,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        p=_chance(ours, theirs, gains_N, rules),
        p_adjusted=None,
        margin=margin,
        bound=None if found is None else found.loss,
        p_not_worse=None if found is None else found.p_not_worse,
        verdict="not shown",
        smallest_shown=None if stderr is None else smallest_shown(stderr, level=rules.level),
        needed_items=None
        if stderr is None or not margin
        else needed_items(stderr, ours.num_items, margin, alpha=rules.alpha),
        num_items=ours.num_items,
        num_groups=ours.num_groups,
        num_better=int((gains_N > 0).sum()),
        num_worse=int((gains_N < 0).sum()),
        level=rules.level,
        alpha=rules.alpha,
        by=f"{why_no_interval(ours, spread)}; swap test" if found is None else found.by,
    )


def spread_between(ours: Sample, theirs: Sample) -> Spread:
    """The difference, and its spread over groups."""
    width = ours.rows_NK.shape[1]

    def difference(sums_2K: Array) -> Array:
        return ours.value(sums_2K[..., :width]) - theirs.value(sums_2K[..., width:])

    weights_G = (ours.weights_G() + theirs.weights_G()) / 2
    return jackknifed(np.concatenate([ours.rows_GK(), theirs.rows_GK()], 1), difference, weights_G)


def apart(
    ours: Sample, theirs: Sample, spread: Spread, sign: float, margin: float | None, rules: Rules
) -> Apart | None:
    """How far apart the two are; None where no spread can be told. `sign` is 1 where more is better, else -1."""
    is_mean_of_gains = ours.is_mean and bool((ours.weights_N == theirs.weights_N).all())
    if ours.is_within_one and (is_mean_of_gains or not spread.is_seen):
        return _by_tango(ours, theirs, spread, sign, margin, rules)
    if not spread.is_told:
        return None
    gain = sign * spread.value
    low, high = sorted(sign * end for end in spread.interval(rules.level))
    t = float(t_quantile(1 - rules.alpha, spread.freedom))
    p = None if margin is None else 1 - float(t_cdf((gain + margin) / spread.stderr, spread.freedom))
    return Apart(low=low, high=high, loss=t * spread.stderr - gain, p_not_worse=p, by="t, jackknife; swap test")


def _by_tango(ours: Sample, theirs: Sample, spread: Spread, sign: float, margin: float | None, rules: Rules) -> Apart:
    counts = effective_counts(ours, theirs, spread, sign, rules.level)
    lows, highs = tango(*counts, [rules.level, 1 - 2 * rules.alpha])
    p = None if margin is None else float(tango_not_worse(*counts, min(margin, 1 - 1e-9)))
    alone = ours.is_of_lone_shares
    return Apart(
        low=float(lows[0]),
        high=float(highs[0]),
        loss=-float(lows[1]),
        p_not_worse=p,
        by="Tango; McNemar, exact" if alone else "Tango, of the effective number of items; swap test",
    )


def effective_counts(
    ours: Sample, theirs: Sample, spread: Spread, sign: float, level: float
) -> tuple[float, float, float]:
    """What was gained, what was lost and how many items, as of items that stand alone."""
    num = ours.num_items
    gains_N = sign * (ours.own_N - theirs.own_N) * ours.weights_N * num / ours.weights_N.sum()
    better, worse = float(np.maximum(gains_N, 0).sum()), float(np.maximum(-gains_N, 0).sum())
    scale = 1.0 if ours.is_of_lone_shares else _effective(better, worse, spread, ours, level) / num
    return better * scale, worse * scale, num * scale


def _effective(better: float, worse: float, spread: Spread, ours: Sample, level: float) -> float:
    """How many yes-and-no items that stand alone would be as sure."""
    num = ours.num_items
    variance = (better + worse) / num - ((better - worse) / num) ** 2
    if not spread.is_seen or variance <= 0:
        return float(ours.num_groups)
    alone = variance / spread.stderr**2
    if ours.is_share:
        alone = min(alone, num)
    return max(1.0, alone * penalty(num, spread.freedom, level))


def _chance(ours: Sample, theirs: Sample, gains_N: Array, rules: Rules) -> float:
    if ours.is_of_lone_shares:
        return mcnemar(int((gains_N > 0).sum()), int((gains_N < 0).sum()))
    return swap_test(ours.rows_GK(), theirs.rows_GK(), ours.value, seed=rules.seed)


def _planning_stderr(ours: Sample, gains_N: Array, spread: Spread) -> float | None:
    """For planning: of yes and no with one more item that differs, so that none seen is not taken for none."""
    if ours.is_share:
        num = ours.num_items
        differing = (np.count_nonzero(gains_N) + 1) / (num + 1)
        of_alone = float(np.sqrt(differing / num))
        return of_alone if ours.is_of_lone_shares or not spread.is_told else max(of_alone, spread.stderr)
    return spread.stderr if spread.is_told else None
