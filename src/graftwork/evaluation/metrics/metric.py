"""What a metric of one answer is, and the catalogs of them: of what was said, and of what was weighed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graftwork.core.catalog import Catalog
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.metrics.text import units

SHORT_UNITS = 32
"""Most units of an answer that may be asked for word for word; of a longer one no two people agree on every word."""


def is_short(expected: str) -> bool:
    """Whether an answer can be expected word for word."""
    return 0 < len(units(expected)) <= SHORT_UNITS


@dataclass(frozen=True, kw_only=True, slots=True)
class TextMetric:
    """How good a text is beside the expected one.

    Attributes:
        applies: of the expected text, never of what was said, so that all subjects have a number of the same items.
        score: of what was said and what was expected, in this order; from 0 to 1, and 1 for two equal texts.
        is_symmetric: the two may change places.
        is_of_final: it looks at the final answer alone, where a recipe says how that is marked.
    """

    metric: Metric
    applies: Callable[[str], bool]
    score: Callable[[str, str], Score]
    is_symmetric: bool
    is_of_final: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """Options, the right one among them, and what they weigh after a prompt.

    Attributes:
        nats: of each option minus the logarithm of its likelihood, summed over its tokens.
        tokens: of each option the tokens summed over.
    """

    options: Sequence[str]
    right: int
    nats: Sequence[float]
    tokens: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeighedMetric:
    """How good the weights of options are.

    Attributes:
        needs_choice: it compares options; of a single one it says nothing.
    """

    metric: Metric
    score: Callable[[Weighed], Score]
    needs_choice: bool


TEXT_METRICS: Catalog[TextMetric] = Catalog("text metric")
WEIGHED_METRICS: Catalog[WeighedMetric] = Catalog("weighed metric")
