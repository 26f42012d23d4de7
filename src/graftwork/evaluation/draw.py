"""Which records are asked: drawn by seed and content, named by content, with what depends on each other told. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from graftwork.core.digests import digest
from graftwork.data.records import Record

ID_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A record with its names.

    Attributes:
        id: from its content, so that it is the same in every run; a second record of the same content has -2 behind it.
        group: the id of the first record that it depends on: its like, or another of the same group in the data.
        place: among all records given.
    """

    record: Record
    id: str
    group: str
    place: int


def named(records: Sequence[Record]) -> list[Drawn]:
    """All of `records`, named."""
    seen: Counter[str] = Counter()
    first_of: dict[str, str] = {}
    told = []
    for place, record in enumerate(records):
        name = record.digest[:ID_CHARACTERS]
        seen[name] += 1
        own = name if seen[name] == 1 else f"{name}-{seen[name]}"
        group = first_of.setdefault(f"group {record.group}", own) if record.group is not None else name
        told.append(Drawn(record=record, id=own, group=group, place=place))
    return told


def by_lot(candidates: Sequence[Drawn], *, seed: int) -> list[Drawn]:
    """`candidates` in an order drawn by the seed and their names, whatever order they come in."""
    return sorted(candidates, key=lambda one: digest([seed, one.id]))


def draw(candidates: Sequence[Drawn], count: int, *, seed: int) -> list[Drawn]:
    """`count` of `candidates` or all, in the order of the data."""
    return sorted(by_lot(candidates, seed=seed)[:count], key=lambda one: one.place)


def why_not_asked(record: Record) -> str:
    """Why a record cannot be asked as it stands; empty if it can."""
    if record.is_text:
        return "it is plain text and asks nothing"
    if not record.prompt:
        return "it asks nothing"
    if record.tools:
        return "it calls tools"
    return "" if record.answer.strip() else "its answer is empty"
