"""bits_per_byte: how much a subject is surprised by the expected answer, the same measure for any tokenizer.

    bits_per_byte = sum of nats / (ln 2 * sum of bytes of UTF-8)

The answer's stop token is within the nats: not to know when to stop is a surprise too.

Source: Gao et al. 2020, The Pile, section 3.1, https://arxiv.org/abs/2101.00027.
"""

from math import log

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import WEIGHED_METRICS, Weighed, WeighedMetric


def bits(weighed: Weighed) -> Score:
    """Bits of the right option, beside its bytes.

    >>> bits(Weighed(options=("是",), right=0, nats=(log(8),), tokens=(1,)))
    Score(total=3.0, weight=3.0, counts=())
    """
    return Score(weighed.nats[weighed.right] / log(2), float(len(weighed.options[weighed.right].encode("utf-8"))))


METRIC = WeighedMetric(
    metric=Metric(
        name="bits_per_byte",
        unit="bits per byte",
        better="less",
        about="Bits of surprise per byte of the expected answer; tells differences that right and wrong do not show.",
        is_main=True,
    ),
    score=bits,
    needs_choice=False,
)
WEIGHED_METRICS.add("bits_per_byte", METRIC)
