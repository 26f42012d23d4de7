"""The registry at hand: its database, blobs, clock, rules and trusted keys; and how a change to it is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from graftwork.core.errors import ConflictError, WorkError
from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import Blobs, Clock, Database, Query, Row, Transaction, Value, time_text, to_us
from graftwork.registry.ledger import BEGINNING, Entry, row_digest, row_name
from graftwork.registry.policy import PolicySpec
from graftwork.registry.signing.keys import PublicKey
from graftwork.registry.tables import TABLES

MAX_BEHIND_US = 60_000_000
"""Clocks of machines differ by less; an entry takes the time of the one before it rather than an earlier one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """Everything that the functions of this room work on.

    Attributes:
        clock: gives the present moment, in UTC.
        policy: what a version needs to go to a stage.
        trusted: public keys whose signatures count, by id.
    """

    database: Database
    blobs: Blobs
    clock: Clock
    policy: PolicySpec = field(default_factory=PolicySpec)
    trusted: Mapping[str, PublicKey] = field(default_factory=dict)


class Page:
    """A change as it is made: rows written, each of which the ledger's entry will name."""

    def __init__(self, rows: Transaction, entry: Entry) -> None:
        self.rows, self._entry = rows, entry
        self._writes: dict[str, str] = {}

    @property
    def sequence(self) -> int:
        """Number of the entry that this change will be."""
        return self._entry.sequence

    @property
    def time_us(self) -> int:
        """When it happens."""
        return self._entry.time_us

    def insert(self, table: str, row: Row) -> None:
        """Put in a row. Raises ConflictError when its key is taken."""
        self.rows.insert(table, row)
        self._writes[row_name(table, row)] = row_digest(row)

    def update(self, table: str, row: Row, values: Row) -> None:
        """Change `row` as it was read.

        Raises:
            ConflictError: it is not as it was read any more.
        """
        if self.rows.update(table, row, values) != 1:
            raise ConflictError(f"{table} was changed by somebody else. Read it again.")
        after = {**row, **values}
        self._writes[row_name(table, after)] = row_digest(after)

    def put(self, table: str, row: Row) -> None:
        """Put in a row, or make the one with its key equal to it."""
        if found := one(self.rows, table, {name: row[name] for name in TABLES[table].key}):
            self.update(table, found, row)
        else:
            self.insert(table, row)

    def tell(self, subject: str | None, **details: object) -> None:
        """Say more in the entry: a version that it is about, and whatever else."""
        subjects = dict.fromkeys((*self._entry.subjects, *([subject] if subject else [])))
        told = {**self._entry.details, **details}
        self._entry = replace(self._entry, subjects=tuple(subjects), details=told)

    def close(self) -> None:
        """Write the entry; a change that wrote nothing leaves none."""
        if self._writes:
            self.rows.insert("ledger", replace(self._entry, writes=self._writes).row())


@contextmanager
def recorded(
    registry: Registry, who: Principal, action: str, subjects: tuple[str, ...] = (), **details: object
) -> Iterator[Page]:
    """A change and its entry in the ledger: both, or neither.

    Raises:
        WorkError: the clock is far behind the ledger, which would put the entry into the past.
    """
    now_us = to_us(registry.clock())
    with registry.database.writing() as rows:
        last = last_row(rows)
        entry = Entry(
            sequence=_number(last["sequence"]) + 1 if last else 1,
            previous=str(last["digest"]) if last else BEGINNING,
            time_us=_not_before(now_us, _number(last["time_us"]) if last else 0),
            tenant=who.tenant,
            actor=who.actor,
            action=action,
            subjects=subjects,
            details=details,
            writes={},
        )
        page = Page(rows, entry)
        yield page
        page.close()


def last_row(rows: Transaction) -> dict[str, Value] | None:
    """The last entry of the ledger; None when it has none."""
    found = rows.select(Query(table="ledger", order="sequence", newest_first=True, limit=1))
    return found[0] if found else None


def one(rows: Transaction, table: str, where: Row) -> dict[str, Value] | None:
    """The row that fits, or None."""
    found = rows.select(Query(table=table, where=where, limit=1))
    return found[0] if found else None


def _not_before(now_us: int, last_us: int) -> int:
    if now_us < last_us - MAX_BEHIND_US:
        raise WorkError(
            f"The clock says {time_text(now_us)}, the ledger's last entry {time_text(last_us)}. Set the clock right."
        )
    return max(now_us, last_us)


def _number(value: Value) -> int:
    assert isinstance(value, int)
    return value
