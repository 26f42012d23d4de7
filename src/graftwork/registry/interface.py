"""The seams of the registry, and what whoever fills them promises (tests/conformance/test_registry.py holds it).

A database keeps rows:

1. Of several processes and threads at most one is in `writing` at a time; the others wait, or are told.
2. What is written in one `writing` is there whole or not at all, also when the process is killed.
3. `reading` sees one moment of all tables.
4. Two rows with one key are refused.

A store of blobs keeps bytes under their SHA-256:

5. A blob is there whole or not at all; putting it twice is the same as once, and puts right what was spoilt.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from graftwork.core.errors import Problem, SpecError

Value = str | int | None
Row = Mapping[str, Value]
Clock = Callable[[], datetime]
"""Gives the present moment, in UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Rows to be read.

    Attributes:
        where: what columns must hold.
        at_most: a column of numbers and the most that it may hold.
        prefix: a column of text and what it must begin with.
        order: the column to sort by; the key when empty.
        limit: so many rows at most; all when None.
    """

    table: str
    where: Row = field(default_factory=dict)
    at_most: tuple[str, int] | None = None
    prefix: tuple[str, str] | None = None
    order: str = ""
    newest_first: bool = False
    limit: int | None = None


class Transaction(Protocol):
    """Rows, read and written together."""

    def select(self, query: Query) -> list[dict[str, Value]]:
        """The rows that fit, whole."""

    def insert(self, table: str, row: Row) -> None:
        """Put in a row that has every column. Raises ConflictError when its key is taken."""

    def update(self, table: str, where: Row, values: Row) -> int:
        """Change the rows that fit; how many there were."""


class Database(Protocol):
    """Where rows are kept."""

    def reading(self) -> AbstractContextManager[Transaction]:
        """One moment of all tables. Raises WorkError when the database cannot be reached."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """The only writer there is; kept when the block ends, forgotten when it raises.

        Raises:
            ConflictError: somebody else wrote for too long.
            WorkError: the database cannot be reached.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """Bytes in the store.

    Attributes:
        digest: SHA-256, in hex.
        modified: when they were put there last, in UTC, by the store's own clock.
    """

    digest: str
    num_bytes: int
    modified: datetime


class Blobs(Protocol):
    """Where bytes are kept."""

    def put(self, chunks: Iterable[bytes]) -> str:
        """Keep bytes that arrive in pieces; their digest."""

    def read(self, digest: str) -> Iterator[bytes]:
        """The bytes in pieces, as they lie there, unchecked. Raises NotFoundError."""

    def find(self, digest: str) -> Blob | None:
        """What is there under a digest, by its size alone; None when nothing is."""

    def each(self) -> Iterator[Blob]:
        """Every blob, in no order."""

    def remove(self, digest: str) -> None:
        """Take a blob away; nothing happens when it is not there."""


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 in UTC.

    Raises:
        SpecError: the moment has no time zone.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    if moment.tzinfo is None:
        raise SpecError([Problem("time", moment.isoformat(), "a moment with its time zone", "Add Z for UTC.")])
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_us(time_us: int) -> datetime:
    """The moment, in UTC."""
    return EPOCH + timedelta(microseconds=time_us)


def time_text(time_us: int) -> str:
    """The moment as text, to the microsecond.

    >>> time_text(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    return from_us(time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
