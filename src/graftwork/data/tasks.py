"""The rows of all sources as tasks: chunks of neighbours of one layout, read as they are asked for."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby

from graftwork.core.errors import SpecError
from graftwork.data.chunk import Task
from graftwork.data.layouts.layout import recognise
from graftwork.data.records import Origin
from graftwork.data.source_spec import HUB, SourceSpec
from graftwork.data.sources.found import Bad, Row
from graftwork.data.sources.read import rows

TASK_ROWS = 1_000
TASK_BYTES = 1 << 20
SAMPLE_ROWS = 100
"""Good rows that a layout is recognised by."""
MOST_BEFORE = 5_000
"""Rows, good and bad, that are held while a layout is looked for."""


@dataclass(slots=True)
class Reading:
    """How far reading is.

    Attributes:
        layout: the layout of sources that do not say theirs; None to recognise it.
        root: what all files lie in, with the sign that ends it. Files are named from there, so that what is written is
            the same on any machine.
        layouts: the layout of each file, recognised or told; empty where none was found.
        done_bytes: bytes read.
    """

    layout: str | None
    root: str = ""
    layouts: dict[str, str] = field(default_factory=dict)
    done_bytes: int = 0

    def more(self, num_bytes: int) -> None:
        """`num_bytes` more have been read."""
        self.done_bytes += num_bytes


def tasks(
    sources: Sequence[SourceSpec], reading: Reading, *, is_held_out: bool, first_number: int = 0
) -> Iterator[Task]:
    """Every row of `sources` in order.

    Raises:
        NotFoundError, SpecError: a source is not there or is of no kind that can be read.
    """
    for number, source in enumerate(sources, first_number):
        told = source.layout or reading.layout
        found = rows(source, progress=reading.more)
        with_layout = _each_with_its_layout(found, told, reading)
        for layout, part in _cut(with_layout, lambda: reading.done_bytes):
            yield Task(source=source, number=number, layout=layout, is_held_out=is_held_out, found=part)


def _each_with_its_layout(
    found: Iterator[Row | Bad], told: str | None, reading: Reading
) -> Iterator[tuple[str, Row | Bad]]:
    named = (_named_from(reading.root, one) for one in found)
    for file, of_file in groupby(named, key=lambda one: one.origin.file):
        held, problem = [], None
        layout = told
        if layout is None:
            held = _sample(of_file)
            try:
                layout = _recognised(held)
            except SpecError as error:
                layout, problem = "", error
        reading.layouts[file] = layout
        for one in chain(held, of_file):
            yield layout, one if problem is None or isinstance(one, Bad) else _without_layout(one, problem)


def root_of(sources: Sequence[SourceSpec]) -> str:
    """The folder that all local files of `sources` lie in, with the sign that ends it; empty when there is none."""
    folders = [os.path.dirname(os.path.abspath(s.path)) for s in sources if not s.path.startswith(HUB)]
    return os.path.join(os.path.commonpath(folders), "") if folders else ""


def _named_from(root: str, one: Row | Bad) -> Row | Bad:
    origin = one.origin
    short = Origin(origin.file.removeprefix(root), origin.line, origin.unit)
    if isinstance(one, Row):
        return Row(short, one.data)
    return Bad(short, one.reason, one.message.replace(root, "") if root else one.message, one.raw)


def _sample(of_file: Iterator[Row | Bad]) -> list[Row | Bad]:
    held, good = [], 0
    for one in of_file:
        held.append(one)
        good += isinstance(one, Row)
        if good == SAMPLE_ROWS or len(held) == MOST_BEFORE:
            break
    return held


def _recognised(held: Sequence[Row | Bad]) -> str:
    good = [one for one in held if isinstance(one, Row)]
    return recognise(good) if good else ""


def _without_layout(row: Row, error: SpecError) -> Bad:
    return Bad(row.origin, "layout", str(error), str(dict(row.data))[:2_000])


def _cut(
    found: Iterator[tuple[str, Row | Bad]], done_bytes: Callable[[], int]
) -> Iterator[tuple[str, list[Row | Bad]]]:
    """Chunks of neighbours with one layout, of a size that depends on the data alone."""
    part: list[Row | Bad] = []
    of, since = "", done_bytes()
    for layout, one in found:
        full = len(part) >= TASK_ROWS or done_bytes() - since >= TASK_BYTES
        if part and (full or layout != of):
            yield of, part
            part, since = [], done_bytes()
        of = layout
        part.append(one)
    if part:
        yield of, part
