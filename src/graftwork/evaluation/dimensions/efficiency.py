"""Efficiency: what an answer costs in time and memory, and what the adapter cost to make.

Nothing is asked of items: the subjects are measured, one after the other and again from the first, so that a machine
that grows warm or busy does so for all of them.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.evaluation.dimension import DIMENSIONS, Dimension, Given, Metric
from graftwork.evaluation.item import Item


class EfficiencySpec(Spec):
    """How time and memory are measured."""

    kind: Literal["efficiency"] = "efficiency"
    """What an answer costs in time and memory."""

    repetitions: int = Field(default=10, ge=3, le=1000)
    """How often each subject is measured. 10 to 50 are usual; 95th percentiles want 20 or more."""

    prompt_tokens: int = Field(default=128, ge=1, le=65536)
    """Tokens that each measured request reads. 128 is usual."""

    answer_tokens: int = Field(default=32, ge=2, le=4096)
    """Tokens that each measured request writes. 32 is usual."""

    cold_starts: int = Field(default=3, ge=0, le=100, exclude_if=lambda num: num == 3)
    """How often each subject is started in a process of its own, up to its first token. 3 is usual; 0: never."""


def _no_items(spec: EfficiencySpec, given: Given) -> Iterable[Item]:
    """None: what is measured is no answer."""
    return ()


METRICS = (
    Metric(
        name="prefill_s", unit="s", better="less", about="Seconds to read the prompt and say the first token; median."
    ),
    Metric(name="prefill_p95_s", unit="s", better="less", about="The same; 95 of 100 requests take less."),
    Metric(name="decode_s", unit="s per token", better="less", about="Seconds for each further token; median."),
    Metric(name="decode_p95_s", unit="s per token", better="less", about="The same; 95 of 100 tokens take less."),
    Metric(
        name="tokens_per_s",
        unit="tokens per s",
        better="more",
        about="Tokens written a second, reading the prompt within.",
    ),
    Metric(
        name="load_s", unit="s", better="less", about="Seconds to put it into memory: a base, or an adapter on one."
    ),
    Metric(
        name="cold_start_s",
        unit="s",
        better="less",
        about="Seconds from a new process to the first token of an answer, base and adapter loaded; median.",
    ),
    Metric(name="bytes", unit="bytes", better="less", about="What must be kept of it, beside the base for an adapter."),
    Metric(name="trained_numbers", unit="numbers", better="less", about="Numbers that its training changed."),
    Metric(name="training_s", unit="s", better="less", about="Seconds that the training took that made it."),
)

DIMENSIONS.add(
    "efficiency",
    Dimension(
        name="efficiency",
        about="What an answer costs in time and memory, and what the adapter cost to make.",
        metrics=METRICS,
        spec=EfficiencySpec,
        items=_no_items,
        is_measured=True,
    ),
)
