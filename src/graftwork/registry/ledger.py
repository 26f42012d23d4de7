"""The ledger: entries chained by hash. Pure.

    digest of an entry = SHA-256(canonical JSON of all its fields but the digest), of which `previous` is one

Each entry holds a digest of every row that it wrote, so that rows are held against the ledger as the ledger is against
its last digest, which a checkpoint signs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from graftwork.core.digests import canonical_json, digest
from graftwork.core.errors import IntegrityError
from graftwork.registry.interface import Row, Value
from graftwork.registry.tables import TABLES

BEGINNING = "0" * 64
"""What the first entry has for the digest of the one before it."""

PARTS = ("subjects", "details", "writes")
"""Columns that hold canonical JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What was done.

    Attributes:
        sequence: 1 for the first, then without a gap.
        previous: digest of the entry before it.
        time_us: never before that of the entry before it.
        subjects: digests of the versions that it is about.
        details: what else there is to say, as plain data.
        writes: by table and key ("move/3/production") the digest of each row that was written with it.
    """

    sequence: int
    previous: str
    time_us: int
    tenant: str
    actor: str
    action: str
    subjects: tuple[str, ...]
    details: Mapping[str, object]
    writes: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Names the entry, and all before it."""
        return digest(asdict(self))

    def row(self) -> dict[str, Value]:
        """As it is kept."""
        fields = asdict(self)
        parts = {name: canonical_json(fields[name]).decode() for name in PARTS}
        return {**fields, **parts, "digest": self.digest}


def entry_of(row: Row) -> Entry:
    """The entry in a row.

    Raises:
        IntegrityError: a field is not as an entry has it.
    """
    fields = {name: value for name, value in row.items() if name != "digest"}
    try:
        parts = {name: json.loads(str(fields[name])) for name in PARTS}
        entry = Entry(**{**fields, **parts, "subjects": tuple(parts["subjects"])})
        if entry.row() != dict(row):
            raise ValueError("its digest is not that of its fields")
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise IntegrityError(f"ledger entry {row.get('sequence')} is not as it was written: {error}.") from error
    return entry


def chained(rows: Iterable[Row]) -> Iterator[Entry]:
    """The entries of the whole ledger, in order, each held against the one before it.

    Raises:
        IntegrityError: names the first that is wrong or missing.
    """
    previous, sequence, time_us = BEGINNING, 0, 0
    for row in rows:
        if row["sequence"] != sequence + 1:
            raise IntegrityError(f"ledger entry {sequence + 1} is missing; {row['sequence']} comes next.")
        entry = entry_of(row)
        if entry.previous != previous:
            raise IntegrityError(f"ledger entry {entry.sequence} does not follow from entry {sequence}.")
        if entry.time_us < time_us:
            raise IntegrityError(f"ledger entry {entry.sequence} is earlier than entry {sequence}.")
        yield entry
        previous, sequence, time_us = str(row["digest"]), entry.sequence, entry.time_us


def row_name(table: str, row: Row) -> str:
    """What the ledger calls a row.

    >>> row_name("pin", {"tenant": "t", "digest": "d1", "holder": "run 7", "until_us": 5})
    '["pin","t","d1","run 7"]'
    """
    return canonical_json([table, *TABLES[table].key_of(row)]).decode()


def row_digest(row: Row) -> str:
    """Digest of all of a row."""
    return digest(dict(row))
