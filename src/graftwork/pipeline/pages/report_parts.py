"""Parts of the report: repairs, spreads, sources and examples, each as what its table shows. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from graftwork.pipeline.pages.figures import Bar, bars
from graftwork.pipeline.pages.visible import differences
from graftwork.pipeline.pages.words import Both, repair, term

SHOWN_FILES = 12
"""Files that are shown at once; the others are folded away."""

Sort = Literal["kept back", "repaired", "personal"]
Parts = list[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class NamedBar:
    """A bar with its word and its count."""

    word: Both
    count: int
    bar: Bar


@dataclass(frozen=True, slots=True)
class Repair:
    """A kind of repair: at which step, what, and how often."""

    step: Both
    word: Both
    count: int


@dataclass(frozen=True, slots=True)
class Example:
    """One example: where it is from, and what it was.

    Attributes:
        parts: of a repair, both texts in parts, true where they differ.
    """

    where: str
    detail: str
    text: str
    parts: tuple[Parts, Parts] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The examples of one decision.

    Attributes:
        name: as the data has it: a step and a reason or repair.
        count: how often it was decided; None when that is told elsewhere.
    """

    sort: Sort
    step: Both
    word: Both
    name: str
    count: int | None
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Sources:
    """Files of the sources, the first of which are shown at once.

    Attributes:
        num_rows: rows of all files.
        num_usable: those that can be used, as far as each is looked at alone.
        adds_up: whether the rest of the report says so too.
    """

    first: Sequence[Mapping[str, Any]]
    rest: Sequence[Mapping[str, Any]]
    num_rows: int
    num_usable: int
    adds_up: bool


def repairs_of(flow: Iterable[Mapping[str, Any]]) -> list[Repair]:
    """Repairs of all steps, in order of the steps, the most frequent first."""
    return [
        Repair(term("step", step["step"]), repair(how), count)
        for step in flow
        for how, count in sorted(step["repaired"].items(), key=lambda item: (-item[1], item[0]))
    ]


def named_bars(group: str, counts: Mapping[str, int]) -> list[NamedBar]:
    """Counts by name, the largest first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    drawn = zip(ranked, bars([count for _, count in ranked]), strict=True)
    return [NamedBar(term(group, name), count, bar) for (name, count), bar in drawn]


def lengths_of(*sides: Sequence[Mapping[str, int]]) -> list[tuple[str, list[tuple[int, Bar]]]]:
    """For each range of lengths, from the shortest to the longest there is, the rows of each side.

    >>> [(r, [n for n, _ in row]) for r, row in lengths_of([{"up_to": 16, "rows": 3}], [{"up_to": 32, "rows": 1}])]
    [('1 – 16', [3, 0]), ('17 – 32', [0, 1])]
    """
    ends = sorted({one["up_to"] for side in sides for one in side})
    columns = []
    for side in sides:
        counts = {one["up_to"]: one["rows"] for one in side}
        column = [counts.get(end, 0) for end in ends]
        columns.append(list(zip(column, bars(column), strict=True)))
    ranges = [f"{1 if end <= 16 else end // 2 + 1:,} – {end:,}" for end in ends]
    return [(told, [column[i] for column in columns]) for i, told in enumerate(ranges)]


def sources_of(report: Mapping[str, Any]) -> Sources:
    """The files that a report tells of."""
    told, last = report.get("sources", ()), report["flow"][-1]
    num_rows, num_usable = (sum(one[key] for one in told) for key in ("num_rows", "num_usable"))
    adds_up = (num_rows, num_usable) == (report["num_rows"], last["in"])
    return Sources(told[:SHOWN_FILES], told[SHOWN_FILES:], num_rows, num_usable, adds_up)


def examples_of(examples: Iterable[Mapping[str, Any]], flow: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Examples by decision, in order of the steps; within a step what is kept back before what is repaired."""
    order = {step["step"]: i for i, step in enumerate(flow)}

    def place(one: Mapping[str, Any]) -> tuple[int, str, str, str]:
        return order.get(one["step"], len(order)), one["step"], _sort(one), one["reason"]

    return [_group(list(same), flow) for _, same in groupby(sorted(examples, key=place), key=place)]


def _group(same: Sequence[Mapping[str, Any]], flow: Sequence[Mapping[str, Any]]) -> Group:
    first = same[0]
    step, reason, sort = first["step"], first["reason"], _sort(first)
    key = "repaired" if sort == "repaired" else "quarantined"
    counts: Mapping[str, int] = next((told[key] for told in flow if told["step"] == step), {})
    words = {"kept back": term("reason", reason), "repaired": repair(reason), "personal": term("kind", reason)}
    return Group(
        sort=sort,
        step=term("step", step),
        word=words[sort],
        name=f"{step} / {reason}",
        count=counts.get(reason),
        examples=[_example(one) for one in same],
    )


def _sort(one: Mapping[str, Any]) -> Sort:
    if one["step"] == "personal":
        return "personal"
    return "repaired" if "before" in one else "kept back"


def _example(one: Mapping[str, Any]) -> Example:
    parts = differences(one["before"], one["after"]) if "before" in one else None
    return Example(one["where"], one.get("detail", ""), one.get("text", ""), parts)
