"""The tables, declared once: the SQL backend makes its own from them, the migrations are held equal to them by a test.

No row is ever taken away. Moments are microseconds since 1970 in UTC; what has parts is canonical JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graftwork.registry.interface import Row, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table.

    Attributes:
        key: the columns that name a row; text but for those in `numbers`.
        nullable: columns that may hold nothing.
        of_version: `tenant` and `digest` name a version that must be on record.
    """

    key: tuple[str, ...]
    texts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    nullable: frozenset[str] = frozenset()
    of_version: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column."""
        return (*self.texts, *self.numbers)

    def key_of(self, row: Row) -> tuple[Value, ...]:
        """What names a row."""
        return tuple(row[column] for column in self.key)


TABLES: Mapping[str, Table] = {
    "version": Table(
        key=("tenant", "digest"),
        texts=("tenant", "digest", "manifest", "envelope", "trainer"),
        numbers=("added_us", "collected_us"),
        nullable=frozenset({"envelope", "collected_us"}),
    ),
    "pointer": Table(
        of_version=True,
        key=("tenant", "name", "stage"),
        texts=("tenant", "name", "stage", "digest"),
        numbers=("sequence",),
        nullable=frozenset({"digest"}),
    ),
    "move": Table(
        key=("sequence", "stage"),
        texts=("tenant", "name", "stage", "before", "after", "actor", "reason"),
        numbers=("sequence", "time_us"),
        nullable=frozenset({"before", "after"}),
    ),
    "approval": Table(
        of_version=True,
        key=("tenant", "name", "stage", "digest", "approver"),
        texts=("tenant", "name", "stage", "digest", "approver", "reason"),
        numbers=("time_us",),
    ),
    "pin": Table(
        of_version=True,
        key=("tenant", "digest", "holder"),
        texts=("tenant", "digest", "holder"),
        numbers=("until_us",),
    ),
    "api_key": Table(
        key=("id",),
        texts=("id", "tenant", "owner", "roles", "scopes", "hash"),
        numbers=("made_us", "expires_us", "revoked_us"),
        nullable=frozenset({"expires_us", "revoked_us"}),
    ),
    "ledger": Table(
        key=("sequence",),
        texts=("previous", "tenant", "actor", "action", "subjects", "details", "writes", "digest"),
        numbers=("sequence", "time_us"),
    ),
    "checkpoint": Table(
        key=("sequence", "key_id"),
        texts=("key_id", "digest", "envelope"),
        numbers=("sequence", "time_us"),
    ),
}
