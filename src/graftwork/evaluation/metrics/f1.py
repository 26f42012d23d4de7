"""f1: the words or Chinese characters that an answer shares with the expected one.

    f1 = 2 * shared / (said + expected)        counts of units, each at most as often as both have it

Source: Rajpurkar et al. 2016, SQuAD, section 6.1, https://arxiv.org/abs/1606.05250.
Departs from it: a Chinese, Japanese or Korean character is a unit of its own; articles count as any other word.
"""

from collections import Counter

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import TEXT_METRICS, TextMetric
from graftwork.evaluation.metrics.text import units


def f1(said: str, expected: str) -> Score:
    """Shared units, beside those of both.

    >>> f1("the red fox", "The fox").total, f1("红狐狸", "狐狸").total
    (0.8, 0.8)
    """
    ours, theirs = units(said), units(expected)
    shared = (Counter(ours) & Counter(theirs)).total()
    return Score(2 * shared / max(1, len(ours) + len(theirs)))


METRIC = TextMetric(
    metric=Metric(
        name="f1",
        unit="share of words",
        better="more",
        about="Words (Chinese: characters) that the answer shares with the expected one, in any order.",
        is_within_one=True,
    ),
    applies=lambda expected: bool(units(expected)),
    score=f1,
    is_symmetric=True,
    is_of_final=True,
)
TEXT_METRICS.add("f1", METRIC)
