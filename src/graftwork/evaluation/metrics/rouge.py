"""rouge_1, rouge_2, rouge_l: runs of one or two units, and the longest common subsequence, that two texts share.

    rouge = 2 * shared / (said + expected)      the F form; shared: matching runs, or the length of the subsequence

Source: Lin 2004, https://aclanthology.org/W04-1013; the subsequence in parallel over bits: Hyyrö 2004, "Bit-parallel
LCS-length computation revisited".
Departs from it: over words and Chinese characters, for `rouge-score` deletes every character but a-z and 0-9; no stems;
rouge_l over the whole text as one sentence.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import TEXT_METRICS, TextMetric
from graftwork.evaluation.metrics.text import ngrams, units


def rouge_n(said: str, expected: str, *, order: int) -> Score:
    """Shared runs of `order` units, beside those of both.

    >>> round(rouge_n("发热三天", "发热两天", order=2).total, 3)
    0.333
    """
    ours, theirs = (ngrams(units(text), order) for text in (said, expected))
    shared = (Counter(ours) & Counter(theirs)).total()
    return Score(2 * shared / max(1, len(ours) + len(theirs)))


def rouge_l(said: str, expected: str) -> Score:
    """The longest common subsequence of units, beside the length of both.

    >>> rouge_l("发热三天", "发热两天").total
    0.75
    """
    ours, theirs = units(said), units(expected)
    return Score(2 * common_length(ours, theirs) / max(1, len(ours) + len(theirs)))


def common_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest sequence that is in both, in order but not necessarily side by side.

    >>> common_length("abcbdab", "bdcaba")
    4
    """
    places: dict[str, int] = {}
    for at, unit in enumerate(a):
        places[unit] = places.get(unit, 0) | 1 << at
    whole = (1 << len(a)) - 1
    open_bits = whole  # a zero for each place of `a` where a longest subsequence so far grows by one
    for unit in b:
        met = open_bits & places.get(unit, 0)
        open_bits = (open_bits + met | open_bits - met) & whole
    return len(a) - open_bits.bit_count()


def _of_runs(order: int) -> TextMetric:
    kind = "Words (Chinese: characters)" if order == 1 else "Pairs of neighbouring words (Chinese: characters)"
    return TextMetric(
        metric=Metric(
            name=f"rouge_{order}",
            unit="share of words" if order == 1 else "share of pairs of words",
            better="more",
            about=f"{kind} that the answer shares with the expected one (ROUGE-{order}, F).",
            is_within_one=True,
        ),
        applies=lambda expected: len(units(expected)) >= order,
        score=partial(rouge_n, order=order),
        is_symmetric=True,
    )


OF_SEQUENCE = TextMetric(
    metric=Metric(
        name="rouge_l",
        unit="share of words",
        better="more",
        about="Words (Chinese: characters) that answers share with the expected ones in the same order (ROUGE-L, F).",
        is_within_one=True,
    ),
    applies=lambda expected: bool(units(expected)),
    score=rouge_l,
    is_symmetric=True,
)
TEXT_METRICS.add("rouge_1", _of_runs(1))
TEXT_METRICS.add("rouge_2", _of_runs(2))
TEXT_METRICS.add("rouge_l", OF_SEQUENCE)
