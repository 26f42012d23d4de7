"""What a quality check of one record is, what it may decide, and the catalog of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from graftwork.core.catalog import Catalog
from graftwork.core.spec import Spec
from graftwork.data.records import Record

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, slots=True)
class Repaired:
    """A record that is kept after a change.

    Attributes:
        how: what was changed, in a few words: "control characters".
    """

    record: Record
    how: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Why a record is set aside.

    Attributes:
        reason: name of the check.
        detail: what was found, what is allowed and which setting says so.
    """

    reason: str
    detail: str


Decision = Repaired | Quarantined | None
"""None: the record is kept as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check(Generic[S]):
    """A check of one record.

    Attributes:
        place: checks are applied in order of place; repairs come first, so that the others see repaired records.
        about: what it is for, shown with the recipe's field of its name.
        default: its settings when a recipe does not name it, or "off".
        decide: what becomes of a record; depends on nothing else, changes nothing.
    """

    name: str
    place: int
    about: str
    spec: type[S]
    default: S | Literal["off"]
    decide: Callable[[S, Record], Decision]


CHECKS: Catalog[Check[Any]] = Catalog("quality check")
