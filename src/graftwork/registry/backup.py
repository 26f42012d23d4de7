"""Backup and restore: every row and every blob in one file, which any database and store of blobs takes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graftwork.core.digests import canonical_json
from graftwork.core.digests import digest as digest_of
from graftwork.core.errors import ConflictError, IntegrityError
from graftwork.core.files import each_key_once
from graftwork.core.spec import parse, plain
from graftwork.registry.access.roles import Principal
from graftwork.registry.blobs import checked
from graftwork.registry.checking import refuse_unless_whole
from graftwork.registry.exchange import refuse_existing, refuse_other_head
from graftwork.registry.interface import Query, Row, Transaction
from graftwork.registry.manifest import DIGEST, LIMIT_BYTES
from graftwork.registry.parcels import ParcelReader, reading, writing
from graftwork.registry.policy import PolicySpec
from graftwork.registry.state import Registry
from graftwork.registry.tables import TABLES
from graftwork.registry.versions import version_of

HEAD = {"format": 1, "kind": "graftwork registry backup"}
ROWS_IN_ONE = 10_000


def back_up(registry: Registry, who: Principal, path: Path) -> tuple[int, int]:
    """Write everything, of all tenants, to a new file; how many rows and blobs.

    Private keys are not in it, nor which public ones are trusted.

    Raises:
        ConflictError: there is a file of this name.
        IntegrityError: ledger, rows or blobs are not as they were; nothing is written.
    """
    who.refuse_unless("administer")
    refuse_existing(path)
    with registry.database.reading() as rows:
        refuse_unless_whole(rows)
        kept = [(table, row) for table in TABLES for row in rows.select(Query(table=table))]
    versions = [version_of(row) for table, row in kept if table == "version" and row["collected_us"] is None]
    digests = sorted({note.digest for version in versions for note in version.manifest.files})
    with writing(path) as parcel:
        parcel.put("head.json", [canonical_json(HEAD)])
        parcel.put("policy.json", [canonical_json([digest_of(registry.policy), plain(registry.policy)])])
        for at in range(0, len(kept), ROWS_IN_ONE):
            parcel.put(f"rows/{at}", (canonical_json(one) + b"\n" for one in kept[at : at + ROWS_IN_ONE]))
        for digest in digests:
            parcel.put(f"blobs/{digest}", checked(registry.blobs, digest))
    return len(kept), len(digests)


def restore(registry: Registry, who: Principal, path: Path) -> tuple[PolicySpec, int, int]:
    """Fill an empty registry from a backup; the rules it had, how many rows and blobs.

    Raises:
        ConflictError: the registry is not empty.
        NotFoundError: there is no such file.
        IntegrityError: the backup is not as it was written; the registry stays empty.
    """
    who.refuse_unless("administer")
    with reading(path) as parcel, registry.database.writing() as rows:
        if any(rows.select(Query(table=table, limit=1)) for table in TABLES):
            raise ConflictError("The registry is not empty. Restore into a new one.")
        refuse_other_head(parcel, HEAD, path)
        parcel.expect("policy.json")
        policy = _policy(_json(parcel.text(LIMIT_BYTES), path), path)
        num_rows, blobs = 0, set()
        while name := parcel.next():
            if name.startswith("rows/"):
                num_rows += _put_rows(rows, parcel, path)
            else:
                blobs.add(_put_blob(registry, parcel, name, path))
        refuse_unless_whole(rows)
        _refuse_missing(rows, blobs, path)
    return policy, num_rows, len(blobs)


def _policy(told: Any, path: Path) -> PolicySpec:
    match told:
        case [str(digest), dict(rules)] if digest_of(rules) == digest:
            return parse(PolicySpec, rules)
    raise IntegrityError(f"{path}: the rules are not as they were written.")


def _put_rows(rows: Transaction, parcel: ParcelReader, path: Path) -> int:
    number = 0
    for line in _lines(parcel):
        table, row = _row(line, path)
        rows.insert(table, row)
        number += 1
    return number


def _row(line: str, path: Path) -> tuple[str, Row]:
    told = _json(line, path)
    match told:
        case [str(table), dict(row)] if table in TABLES and set(row) == set(TABLES[table].columns):
            if all(isinstance(value, _kind(table, column)) for column, value in row.items()):
                return table, row
    raise IntegrityError(f"{path}: a row is not as it was written.")


def _kind(table: str, column: str) -> Any:
    kind = int if column in TABLES[table].numbers else str
    return (kind, type(None)) if column in TABLES[table].nullable else kind


def _put_blob(registry: Registry, parcel: ParcelReader, name: str, path: Path) -> str:
    digest = name.removeprefix("blobs/")
    if not DIGEST.fullmatch(digest) or name == digest:
        raise IntegrityError(f"{path}: {name!a} does not belong in a backup.")
    found = registry.blobs.put(parcel.chunks())
    if found != digest:
        raise IntegrityError(f"{path}: blob {digest} is not what it was: its bytes have digest {found}.")
    return digest


def _refuse_missing(rows: Transaction, blobs: set[str], path: Path) -> None:
    for row in rows.select(Query(table="version")):
        if row["collected_us"] is None:
            for note in version_of(row).manifest.files:
                if note.digest not in blobs:
                    raise IntegrityError(f"{path}: {note.path} of version {str(row['digest'])[:12]} is missing.")


def _lines(parcel: ParcelReader) -> Iterator[str]:
    rest = b""
    for chunk in parcel.chunks():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text, object_pairs_hook=each_key_once)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: a row is not as it was written.") from error
