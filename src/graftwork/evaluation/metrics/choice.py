"""choice, choice_per_token, choice_per_byte: the right one of the possible answers is the most likely one.

    raw: nats;  per token: nats / tokens;  per byte: nats / bytes of UTF-8       the lowest wins; a tie is no choice

The raw likelihood prefers short options. By token, long ones that become certain after their first tokens gain. By byte
is the same measure for any tokenizer, so that models with different ones can be compared.

Source: Brown et al. 2020, section 2.4, https://arxiv.org/abs/2005.14165 (per token); Gao 2021,
https://blog.eleuther.ai/multiple-choice-normalization (per byte).
"""

from collections.abc import Callable, Sequence

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.metric import WEIGHED_METRICS, Weighed, WeighedMetric


def chosen(weighed: Weighed, sizes: Sequence[int]) -> Score:
    """1 if the right option is lighter than all others, each over its size, else 0.

    >>> both = Weighed(options=("no", "certainly"), right=1, nats=(2.0, 3.0), tokens=(1, 3))
    >>> chosen(both, (1, 1)).total, chosen(both, both.tokens).total
    (0.0, 1.0)
    """
    weights = [nats / max(1, size) for nats, size in zip(weighed.nats, sizes, strict=True)]
    others = (weight for at, weight in enumerate(weights) if at != weighed.right)
    return Score(float(all(weights[weighed.right] < other for other in others)))


def _raw(weighed: Weighed) -> Score:
    return chosen(weighed, [1] * len(weighed.options))


def _per_token(weighed: Weighed) -> Score:
    return chosen(weighed, weighed.tokens)


def _per_byte(weighed: Weighed) -> Score:
    return chosen(weighed, [len(option.encode("utf-8")) for option in weighed.options])


def _metric(name: str, how: str, score: Callable[[Weighed], Score]) -> None:
    metric = Metric(
        name=name,
        unit="share of answers",
        better="more",
        about=f"Of all answers that the data knows the right one is the most likely, {how}.",
        is_share=True,
    )
    WEIGHED_METRICS.add(name, WeighedMetric(metric=metric, score=score, needs_choice=True))


_metric("choice", "by its whole likelihood", _raw)
_metric("choice_per_token", "by its likelihood per token", _per_token)
_metric("choice_per_byte", "by its likelihood per byte", _per_byte)
