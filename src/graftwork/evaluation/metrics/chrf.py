"""chrf: runs of one to six characters that an answer shares with the expected one, over all items together.

    P = mean over orders of matches / runs said,  R = mean of matches / runs expected
    chrf = (1 + b^2) P R / (b^2 P + R),  b = 2: what is missing weighs more than what is too much

Means are over the orders that both sides have. White space is no character. It needs no words, so that it is the same
measure in English and Chinese.

Source: Popović 2015, https://aclanthology.org/W15-3049; means over orders as in sacrebleu 2 (parity in the tests).
Departs from it: from 0 to 1, not to 100.
"""

from collections import Counter
from typing import Any

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import TEXT_METRICS, TextMetric

ORDERS = 6
BETA2 = 4.0


def chrf(said: str, expected: str) -> Score:
    """One answer's chrF, with its counts: runs said, runs expected and matches of each order.

    >>> chrf("头痛", "头痛").total, round(chrf("cat", "cats").total, 3)
    (1.0, 0.689)
    """
    import numpy as np

    counts: list[float] = []
    ours, theirs = "".join(said.split()), "".join(expected.split())
    for order in range(1, ORDERS + 1):
        runs, wanted = _runs(ours, order), _runs(theirs, order)
        matches = (runs & wanted).total()
        counts += [
            runs.total() if wanted else 0,
            wanted.total(),
            matches,
        ]  # what nothing is expected of, is not too much
    return Score(float(combined(np.asarray(counts, dtype=np.float64))), 1.0, tuple(map(float, counts)))


def combined(counts_K: Any) -> Any:
    """chrF of summed counts; any shape whose last axis is the counts."""
    import numpy as np

    counts_OK = np.asarray(counts_K, dtype=np.float64).reshape(*np.shape(counts_K)[:-1], ORDERS, 3)
    said_O, expected_O, matches_O = counts_OK[..., 0], counts_OK[..., 1], counts_OK[..., 2]
    has_both_O = (said_O > 0) & (expected_O > 0)
    num_orders = np.maximum(1, has_both_O.sum(-1))
    precision = (matches_O / np.maximum(1, said_O) * has_both_O).sum(-1) / num_orders
    recall = (matches_O / np.maximum(1, expected_O) * has_both_O).sum(-1) / num_orders
    below = BETA2 * precision + recall
    return (1 + BETA2) * precision * recall / np.where(below > 0, below, 1.0)


def _runs(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))


METRIC = TextMetric(
    metric=Metric(
        name="chrf",
        unit="share of character runs",
        better="more",
        about="Runs of one to six characters that answers share with the expected ones, all items together (chrF).",
        is_within_one=True,
        combined=combined,
    ),
    applies=lambda expected: bool(expected.split()),
    score=chrf,
    is_symmetric=False,
)
TEXT_METRICS.add("chrf", METRIC)
