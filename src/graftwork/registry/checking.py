"""Verify: the ledger against itself, rows against the ledger, signatures against trusted keys, blobs against digests.

Whatever is wrong is named: the entry, the row, the version and file, the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graftwork.core.errors import IntegrityError
from graftwork.registry.access.roles import Principal
from graftwork.registry.blobs import checked
from graftwork.registry.checkpoints import read_checkpoint, says_so, signers_of
from graftwork.registry.interface import Query, Row, Transaction
from graftwork.registry.ledger import Entry, chained, row_digest, row_name
from graftwork.registry.naming import trusted_signers
from graftwork.registry.state import Registry
from graftwork.registry.tables import TABLES
from graftwork.registry.versions import version_of

RECORDED = tuple(table for table in TABLES if table not in ("ledger", "checkpoint"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was looked at, and what is wrong.

    Attributes:
        problems: in the order of the ledger, rows, signatures, blobs; nothing when all is well.
        head: number and digest of the ledger's last entry.
        num_signed: versions with a signature of a trusted key.
        signed_up_to: the last entry that a checkpoint of a trusted key signs; 0 when none does.
    """

    problems: tuple[str, ...]
    num_entries: int
    head: tuple[int, str]
    num_rows: int
    num_versions: int
    num_signed: int
    num_blobs: int
    num_bytes: int
    signed_up_to: int


def check(registry: Registry, who: Principal, *, checkpoints: tuple[str, ...] = ()) -> Checked:
    """Look at everything, of all tenants. Nothing is changed.

    Args:
        checkpoints: envelopes kept elsewhere, which a ledger that was cut or written anew does not meet.

    Raises:
        WorkError: the database cannot be reached.
    """
    who.refuse_unless("read")
    problems: list[str] = []
    with registry.database.reading() as rows:
        entries = _chain(rows, problems)
        num_rows = _rows(rows, entries, problems)
        signed_up_to = _checkpoints(registry, rows, entries, checkpoints, problems)
        kept = rows.select(Query(table="version", order="added_us"))
    num_signed, wanted = _versions(registry, kept, problems)
    num_bytes = _blobs(registry, wanted, problems)
    return Checked(
        problems=tuple(problems),
        num_entries=len(entries),
        head=(len(entries), entries[-1].digest if entries else ""),
        num_rows=num_rows,
        num_versions=len(kept),
        num_signed=num_signed,
        num_blobs=len(wanted),
        num_bytes=num_bytes,
        signed_up_to=signed_up_to,
    )


def refuse_unless_whole(rows: Transaction) -> None:
    """Raise IntegrityError, with all that is wrong, unless ledger and rows belong together."""
    problems: list[str] = []
    _rows(rows, _chain(rows, problems), problems)
    if problems:
        raise IntegrityError("\n".join(problems))


def _chain(rows: Transaction, problems: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    try:
        entries.extend(chained(rows.select(Query(table="ledger", order="sequence"))))
    except IntegrityError as error:
        problems.append(str(error))
    return entries


def _rows(rows: Transaction, entries: list[Entry], problems: list[str]) -> int:
    """Hold each row against what the ledger wrote last under its name."""
    written = {name: (digest, entry.sequence) for entry in entries for name, digest in entry.writes.items()}
    found = {}
    is_whole = not problems  # else rows of entries that could not be read would be named too
    for table in RECORDED:
        for row in rows.select(Query(table=table)):
            name = row_name(table, row)
            found[name] = row
            if name in written and row_digest(row) != written[name][0]:
                problems.append(f"row {name} is not as ledger entry {written[name][1]} wrote it.")
            elif name not in written and is_whole:
                problems.append(f"row {name} is in no ledger entry.")
    gone = [(sequence, name) for name, (_, sequence) in written.items() if name not in found]
    problems += [f"row {name}, which ledger entry {sequence} wrote, is gone." for sequence, name in sorted(gone)]
    return len(found)


def _checkpoints(
    registry: Registry, rows: Transaction, entries: list[Entry], others: tuple[str, ...], problems: list[str]
) -> int:
    """Hold the ledger against signed checkpoints; the last entry that one of a trusted key signs."""
    found = rows.select(Query(table="checkpoint"))
    kept = [(f"checkpoint {row['sequence']}", str(row["envelope"])) for row in found]
    problems += [f"checkpoint {row['sequence']} is not as it was written." for row in found if not says_so(row)]
    last = 0
    for where, text in [*kept, *((f"checkpoint {n} of those given", text) for n, text in enumerate(others, 1))]:
        try:
            checkpoint = read_checkpoint(text)
            signers = signers_of(text, registry.trusted)
            there = entries[checkpoint.sequence - 1].digest if checkpoint.sequence <= len(entries) else None
            if there != checkpoint.digest:
                gone = "is not there" if there is None else "is another one"
                raise IntegrityError(f"ledger entry {checkpoint.sequence}, which it signs, {gone}")
        except IntegrityError as error:
            problems.append(f"{where}: {error}.")
            continue
        if signers:
            last = max(last, checkpoint.sequence)
    return last


def _versions(
    registry: Registry, kept: Sequence[Row], problems: list[str]
) -> tuple[int, Mapping[str, tuple[str, int]]]:
    """How many are signed, and what each blob that must be there belongs to, with its size."""
    num_signed = 0
    wanted: dict[str, tuple[str, int]] = {}
    for row in kept:
        try:
            version = version_of(row)
            num_signed += bool(trusted_signers(registry, version))
        except IntegrityError as error:
            problems.append(f"version {str(row['digest'])[:12]}: {error}")
            continue
        if version.collected_us is None:
            for note in version.manifest.files:
                wanted.setdefault(note.digest, (f"{note.path} of version {version.digest[:12]}", note.num_bytes))
    return num_signed, wanted


def _blobs(registry: Registry, wanted: Mapping[str, tuple[str, int]], problems: list[str]) -> int:
    num_bytes = 0
    for digest, (where, _) in sorted(wanted.items()):
        try:
            num_bytes += sum(len(chunk) for chunk in checked(registry.blobs, digest))
        except (IntegrityError, OSError) as error:
            problems.append(f"{where}: {error}")
    return num_bytes
