"""Measuring: a metric of one subject with its interval, by the method that suits its kind of scores.

yes and no, items that stand alone    Wilson, or Clopper-Pearson where few were seen (`statistics.shares`)
other scores from 0 to 1, or groups   exact interval of the effective number of items (`statistics.bounded`)
amounts, never negative               t of the logarithm, with the spread below
all others                            t with the jackknife's spread over groups (`statistics.jackknife`)
"""

from graftwork.evaluation.result import Measured
from graftwork.evaluation.sample import Sample, why_no_interval
from graftwork.evaluation.statistics.bounded import bounded
from graftwork.evaluation.statistics.jackknife import jackknifed, log_interval
from graftwork.evaluation.statistics.shares import is_few, share


def measured(sample: Sample, level: float = 0.95) -> Measured:
    """The metric with its interval; without one where no spread can be told."""
    value, ends, by = _interval(sample, level)
    low, high = ends or (None, None)
    return Measured(
        value=value,
        low=low,
        high=high,
        num_items=sample.num_items,
        num_groups=sample.num_groups,
        level=level,
        by=by,
    )


def _interval(sample: Sample, level: float) -> tuple[float, tuple[float, float] | None, str]:
    if sample.is_of_lone_shares:
        yes, asked = sample.rows_NK.sum(0)
        low, high = share(yes, asked, level)
        return float(yes / asked), (float(low), float(high)), "Clopper-Pearson" if is_few(yes, asked) else "Wilson"
    spread = jackknifed(sample.rows_GK(), sample.value, sample.weights_G())
    if sample.is_within_one:
        ends = bounded(
            spread,
            num_items=sample.num_items,
            num_groups=sample.num_groups,
            is_share=sample.is_share,
            level=level,
        )
        return spread.value, ends, "exact, of the effective number of items"
    if not spread.is_told:
        return spread.value, None, why_no_interval(sample, spread)
    if sample.is_of_amounts and (of_log := log_interval(sample.rows_GK(), sample.weights_G(), level)):
        return spread.value, of_log, "t of the logarithm, jackknife over groups"
    return spread.value, spread.interval(level), "t, jackknife over groups"
