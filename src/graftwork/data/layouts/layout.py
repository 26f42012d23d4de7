"""What a layout is, which one rows have, and a row to a record. Pure.

A layout raises `LayoutError` for a row it cannot take; `record_of` makes it a bad row with file and line.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftwork.core.catalog import Catalog
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.data.edits import Spans
from graftwork.data.records import TEXT, Record
from graftwork.data.sources.found import Bad, Row, bad, shown

if TYPE_CHECKING:  # a source names a layout, so it knows them
    from graftwork.data.source_spec import SourceSpec

Data = Mapping[str, object]
Turn = dict[str, str]

VOTERS = 100
"""Rows of a sample that say which layout they have."""


class LayoutError(ValueError):
    """A row that its layout cannot take: which key, what it holds, what is expected."""

    def __init__(self, key: str, value: object, expected: str, hint: str = "") -> None:
        super().__init__(key, value, expected, hint)
        self.key, self.value, self.expected, self.hint = key, value, expected, hint


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a layout makes of a row; see `Record` for `learn`, `rejected` and `tools`."""

    turns: list[Turn]
    learn: tuple[Spans | None, ...] = ()
    rejected: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A way to lay out a record in a row.

    Attributes:
        needs: keys that tell this layout and that every row must have.
        more: keys that it reads where they are there.
        over: layouts that it goes before where both fit, because it says more.
        is_last: whether every other layout that fits goes before it.
        conversation: what the row says.
    """

    needs: tuple[str, ...]
    conversation: Callable[[Data], Conversation]
    more: tuple[str, ...] = ("system",)
    over: tuple[str, ...] = ()
    is_last: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that it reads."""
        return (*self.needs, *self.more)


LAYOUTS: Catalog[Layout] = Catalog("layout")


def recognised(keys: Sequence[str], where: str) -> str:
    """The name of the layout that rows with `keys` have.

    Raises:
        SpecError: none fits, or more than one does.
    """
    fits = _fitting(keys)
    if len(fits) == 1:
        return fits[0]
    if fits:
        hint = f"It fits {', '.join(fits)}: say which with data.layout."
        raise SpecError([Problem(where, list(keys), "keys of one layout", hint)])
    needed = {key for name in LAYOUTS for key in LAYOUTS[name].needs}
    near = nearest(keys, needed)
    known = "; ".join(f"{name}: {', '.join(LAYOUTS[name].needs)}" for name in LAYOUTS)
    told = [*([near] if near else []), f"Layouts: {known}.", "Say with fields what their keys are called here."]
    raise SpecError([Problem(where, list(keys), "the keys of a layout we know", " ".join(told))])


def recognise(sample: Sequence[Row]) -> str:
    """The layout that most of the first rows have; `sample` has at least one.

    Raises:
        SpecError: none fits any of them, or most fit more than one.
    """
    voters = sample[:VOTERS]
    votes = Counter(tuple(_fitting([str(key) for key in row.data])) for row in voters)
    votes.pop((), None)
    winner = votes.most_common(1)[0][0] if votes else ()
    speaker = next((row for row in voters if tuple(_fitting([str(key) for key in row.data])) == winner), voters[0])
    return recognised([str(key) for key in speaker.data], str(speaker.origin))


def record_of(row: Row, layout: str, source: "SourceSpec", *, system: str | None, source_number: int) -> Record | Bad:
    """The record that `row` is.

    Args:
        layout: name in LAYOUTS.
        source: says what labels stand for and what keeps records together.
        system: system message for a record that has none.
        source_number: number of the source in its recipe, counted from 0.

    Returns:
        A record, or a bad row with the reason `layout`.
    """
    try:
        return _record(row, layout, source, system, source_number)
    except LayoutError as error:
        problem = Problem(f"{row.origin}: {error.key}", error.value, error.expected, error.hint)
        return bad(row.origin, "layout", problem, shown(row.data))


def nearest(keys: Iterable[object], needed: Collection[str]) -> str:
    """For each of `keys` that is none of `needed`, the one of them it is nearest to, if any.

    >>> nearest(["promt", "completion"], ["prompt", "completion"])
    "Did you mean 'prompt'?"
    """
    there = set(keys)
    missing = [name for name in needed if name not in there]
    wrong = [str(key) for key in keys if key not in needed]
    return " ".join(filter(None, (did_you_mean(key, missing) or did_you_mean(key.lower(), missing) for key in wrong)))


def _fitting(keys: Sequence[str]) -> list[str]:
    """Names of the layouts that `keys` fit, without those that another goes before."""
    there = set(keys)
    fits = [name for name in LAYOUTS if there.issuperset(LAYOUTS[name].needs)]
    beaten = {lesser for name in fits for lesser in LAYOUTS[name].over}
    beaten |= {name for name in fits if LAYOUTS[name].is_last and len(fits) > 1}
    return [name for name in fits if name not in beaten]


def _record(row: Row, layout: str, source: "SourceSpec", system: str | None, source_number: int) -> Record:
    known, data = LAYOUTS[layout], row.data
    for key in known.needs:
        if key not in data:
            expected = f"the keys {', '.join(known.needs)} of the layout {layout}"
            raise LayoutError(key, list(data)[:20], expected, nearest(list(data)[:20], known.needs))
    if source.labels:
        data = _labelled(data, layout, source.labels)
    said = known.conversation(data)
    turns, learn = said.turns, said.learn
    if system and turns[0]["role"] not in ("system", TEXT):
        turns = [{"role": "system", "content": system}, *turns]
        learn = (None, *learn) if learn else ()
    group = _group(row.data, source) if source.group else None
    return Record(tuple(turns), row.origin, learn, said.rejected, said.tools, group, source_number)


def _labelled(data: Data, layout: str, labels: Mapping[str, str]) -> Data:
    """`data` with what its label stands for. True and false are called that, as in JSON."""
    if "label" not in LAYOUTS[layout].keys:
        raise LayoutError("labels", list(labels), f"none with the layout {layout}", "It has no label.")
    label = data["label"]
    name = str(label).lower() if isinstance(label, bool) else str(label)
    if not isinstance(label, str | int) or name not in labels:
        hint = did_you_mean(name, labels) or "Add it to labels."
        raise LayoutError("label", label, f"one of {', '.join(labels)}, as labels says", hint)
    return {**data, "label": labels[name]}


def _group(data: Data, source: "SourceSpec") -> str | None:
    """The value that stays on one side of a split; a row without one stands alone."""
    asked = source.group or ""
    key = next((key for key, here in source.fields.items() if here == asked), asked)
    if key not in data:
        hint = did_you_mean(key, [str(name) for name in data]) or "It is what group names."
        raise LayoutError(asked, list(data)[:20], f"a key {asked}", hint)
    value = data[key]
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise LayoutError(asked, value, "text or a whole number, to keep records together")
    return str(value)
