"""What a dimension of evaluation is, and the catalog of them: one file each in `dimensions`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from graftwork.core.catalog import Catalog
from graftwork.core.spec import Spec
from graftwork.data.records import Record
from graftwork.evaluation.item import Item


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number that a dimension gives.

    Attributes:
        unit: such as "share of answers" or "bits per byte".
        better: whether more of it is better, or less.
        about: in a sentence for people.
        is_share: every score is 0 or 1 of weight 1, so exact tests of shares apply.
        is_within_one: no item's score can be below 0 or above 1, so that no interval leaves those; of shares anyway.
        is_main: the dimension's verdict follows from it; others are shown.
        combined: of a metric of all items together, its value of the items' summed counts; takes an array of any shape
            whose last axis is the counts, gives one of that shape without it. None: totals over weights.
    """

    name: str
    unit: str
    better: Literal["more", "less"]
    about: str
    is_share: bool = False
    is_within_one: bool = False
    is_main: bool = False
    combined: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What items are made of.

    Attributes:
        held_out: records that were set aside, in order.
        train: of the records that were trained on, as many as a dimension needs are read; for leaks and overlap.
        seed: what is drawn is drawn from it and an item's own id, never from order.
        max_new_tokens: most tokens of an answer, as the recipe has it.
        general: records of a recipe's own that have nothing to do with the training; None for those that ship.
    """

    held_out: Sequence[Record]
    train: Iterable[Record]
    seed: int
    max_new_tokens: int
    general: Sequence[Record] | None = None


def _no_notes(spec: Any, given: Given) -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One way to look at a subject.

    Attributes:
        spec: its settings in a recipe, with `kind: Literal[<name>]` first and a default for everything else.
        items: of those settings and what is given; each item's scores have the metrics' names. May give none, if
            what is given holds nothing for it; raises SpecError where what was asked for cannot be had.
        notes: of the same, in sentences, what of the data it leaves out and why; kept with its result.
        is_measured: it asks nothing: its numbers are taken with a clock, by `pipeline.evaluation`.
        paths: fields of its spec that name files, one or several; in a recipe they may lie beside it.
    """

    name: str
    about: str
    metrics: tuple[Metric, ...]
    spec: type[Spec]
    items: Callable[[Any, Given], Iterable[Item]]
    is_measured: bool = False
    notes: Callable[[Any, Given], Sequence[str]] = _no_notes
    paths: tuple[str, ...] = ()


DIMENSIONS: Catalog[Dimension] = Catalog("dimension")
