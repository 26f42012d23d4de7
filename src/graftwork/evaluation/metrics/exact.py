"""exact: the answer is the expected one word for word, white space aside."""

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import TEXT_METRICS, TextMetric, is_short
from graftwork.evaluation.metrics.text import tidy


def exact(said: str, expected: str) -> Score:
    """1 if the two are the same words, else 0.

    >>> exact("Yes ", "Yes").total, exact("yes", "Yes").total
    (1.0, 0.0)
    """
    return Score(float(tidy(said) == tidy(expected)))


METRIC = TextMetric(
    metric=Metric(
        name="exact",
        unit="share of answers",
        better="more",
        about="Answers that are the expected one word for word, white space aside; of short answers.",
        is_share=True,
        is_main=True,
    ),
    applies=is_short,
    score=exact,
    is_symmetric=True,
    is_of_final=True,
)
TEXT_METRICS.add("exact", METRIC)
