"""exact_loose: the answer is the expected one but for case, width, punctuation and white space."""

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import TEXT_METRICS, TextMetric, is_short
from graftwork.evaluation.metrics.text import loose


def exact_loose(said: str, expected: str) -> Score:
    """1 if the two differ in nothing but their writing, else 0.

    >>> exact_loose("ＹＥＳ。", "Yes").total, exact_loose("1.5", "15").total
    (1.0, 0.0)
    """
    return Score(float(loose(said) == loose(expected)))


METRIC = TextMetric(
    metric=Metric(
        name="exact_loose",
        unit="share of answers",
        better="more",
        about="Answers that are the expected one but for case, full or half width, punctuation and white space.",
        is_share=True,
    ),
    applies=is_short,
    score=exact_loose,
    is_symmetric=True,
    is_of_final=True,
)
TEXT_METRICS.add("exact_loose", METRIC)
