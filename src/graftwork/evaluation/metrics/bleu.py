"""bleu: runs of one to four words that long answers share with the expected ones, over all items together.

    bleu = min(1, exp(1 - expected / said)) * (p1 p2 p3 p4)^(1/4)       p: matches / runs said, lengths in tokens

An order without a match counts as half a match, the next one as a quarter, and so on ("exp" smoothing). Texts are cut
by sacrebleu: Chinese characters apart with `zh`, all else with `13a`; the expected text says which.

Source: Papineni et al. 2002, https://aclanthology.org/P02-1040; Post 2018, https://aclanthology.org/W18-6319.
Departs from it: from 0 to 1, not to 100. One number over texts that were cut in both ways is comparable only with
itself; the slices by script are the usual ones.
"""

from functools import cache
from typing import Any

from graftwork.data.script import HAN
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import TEXT_METRICS, TextMetric
from graftwork.evaluation.metrics.text import units

ORDERS = 4
FEWEST_UNITS = 16
"""Fewest units of an expected answer that BLEU, made for passages, says something about."""


def bleu(said: str, expected: str) -> Score:
    """One answer's BLEU over the orders it has, with its counts: matches and runs of each order, lengths of both."""
    import numpy as np

    told = _cut_for("zh" if HAN.search(expected) else "13a").corpus_score([said], [[expected]])
    counts = np.asarray([*told.counts, *told.totals, told.sys_len, told.ref_len], dtype=np.float64)
    return Score(float(_of_counts(counts, shortens=True)), 1.0, tuple(counts.tolist()))


def combined(counts_K: Any) -> Any:
    """BLEU of summed counts; any shape whose last axis is the counts."""
    import numpy as np

    return _of_counts(np.asarray(counts_K, dtype=np.float64), shortens=False)


def _of_counts(counts_K: Any, *, shortens: bool) -> Any:
    """BLEU, and where it `shortens` over the orders that what was said is long enough for."""
    import numpy as np

    matches_O, said_O = counts_K[..., :ORDERS], counts_K[..., ORDERS : 2 * ORDERS]
    said, expected = counts_K[..., -2], counts_K[..., -1]
    has_O = said_O > 0
    halved_O = 2.0 ** -np.cumsum(matches_O == 0, axis=-1)
    precision_O = np.where(matches_O > 0, matches_O, halved_O) / np.maximum(1, said_O)
    num_orders = np.maximum(1, has_O.sum(-1)) if shortens else ORDERS
    mean = np.exp((np.log(np.where(has_O, precision_O, 1.0))).sum(-1) / num_orders)
    brevity = np.exp(np.minimum(0.0, 1 - expected / np.maximum(1, said)))
    is_whole = has_O.any(-1) if shortens else has_O.all(-1)
    return np.where(is_whole & (matches_O > 0).any(-1), brevity * mean, 0.0)


@cache
def _cut_for(tokenizer: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenizer)


METRIC = TextMetric(
    metric=Metric(
        name="bleu",
        unit="share of word runs",
        better="more",
        about="Runs of one to four words (Chinese: characters) that long answers share with the expected ones (BLEU).",
        is_within_one=True,
        combined=combined,
    ),
    applies=lambda expected: len(units(expected)) >= FEWEST_UNITS,
    score=bleu,
    is_symmetric=False,
)
TEXT_METRICS.add("bleu", METRIC)
