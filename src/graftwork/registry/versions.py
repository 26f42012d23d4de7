"""Versions: put in, read, found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError, Problem, SpecError
from graftwork.registry.access.roles import Principal
from graftwork.registry.blobs import CHUNK_BYTES, checked
from graftwork.registry.interface import Query, Row, Transaction
from graftwork.registry.manifest import FileNote, Manifest, manifest_bytes, manifest_digest, read_manifest
from graftwork.registry.signing.envelope import of_version, signers
from graftwork.registry.state import Page, Registry, one, recorded

SHORTEST = 6
"""Characters of a digest that may stand for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A version on record.

    Attributes:
        trainer: who put it in first.
        envelope: its signatures; None when nobody signed it.
        collected_us: when its files were given up; None when they are there.
    """

    digest: str
    manifest: Manifest
    envelope: str | None
    trainer: str
    added_us: int
    collected_us: int | None


def add(
    registry: Registry, who: Principal, manifest: Manifest, files: Mapping[str, Path], envelope: str | None = None
) -> str:
    """Put a version in; its digest. One that is there already stays as it is, and gets back files that it lost.

    Args:
        files: where each file of the manifest lies, by its path in it.

    Raises:
        DeniedError: who asks may not add.
        IntegrityError: a file is not what the manifest says, or the envelope is of something else.
    """
    who.refuse_unless("add")
    return put_in(registry, who, manifest, {path: _chunks(file) for path, file in files.items()}, envelope)


def put_in(
    registry: Registry,
    who: Principal,
    manifest: Manifest,
    files: Mapping[str, Iterable[bytes]],
    envelope: str | None,
    **details: object,
) -> str:
    """As `add`, from bytes that arrive in pieces; `details` go into the ledger."""
    digest = manifest_digest(manifest)
    if envelope is not None:
        signers(envelope, of_version(manifest), registry.trusted)
    _put_files(registry, manifest, files)
    with recorded(registry, who, "add", (digest,), content=manifest.content, **details) as page:
        _refuse_missing(registry, manifest)
        _put_row(page, who, digest, manifest, envelope)
    return digest


def _put_files(registry: Registry, manifest: Manifest, files: Mapping[str, Iterable[bytes]]) -> None:
    wanted = {one.path for one in manifest.files}
    if wanted != set(files):
        wrong = sorted(wanted ^ set(files))
        raise SpecError([Problem("files", wrong, "the files of the manifest, each of them and no other")])
    for note in manifest.files:
        found = registry.blobs.put(files[note.path])
        if found != note.digest:
            raise IntegrityError(f"{note.path} is not what the manifest says: {found[:12]}, not {note.digest[:12]}.")


def _refuse_missing(registry: Registry, manifest: Manifest) -> None:
    """Within the change, where no garbage is collected: the files may have been taken since they were put."""
    for note in manifest.files:
        found = registry.blobs.find(note.digest)
        if found is None or found.num_bytes != note.num_bytes:
            raise ConflictError(f"{note.path} was taken away, or has another size than it says. Add it again.")


def _put_row(page: Page, who: Principal, digest: str, manifest: Manifest, envelope: str | None) -> None:
    found = one(page.rows, "version", {"tenant": who.tenant, "digest": digest})
    if found is None:
        row: Row = {
            "tenant": who.tenant,
            "digest": digest,
            "manifest": manifest_bytes(manifest).decode(),
            "envelope": envelope,
            "trainer": who.actor,
            "added_us": page.time_us,
            "collected_us": None,
        }
        page.insert("version", row)
        return
    changes: dict[str, Any] = {}
    if found["collected_us"] is not None:
        changes = {"collected_us": None, "added_us": page.time_us}
    if found["envelope"] is None and envelope is not None:
        changes["envelope"] = envelope
    if changes:
        page.update("version", found, changes)


def get(registry: Registry, who: Principal, digest: str) -> Version:
    """A version by its whole digest.

    Raises:
        NotFoundError: there is none, or it is another tenant's.
        IntegrityError: its manifest is not as it was written.
    """
    who.refuse_unless("read")
    with registry.database.reading() as rows:
        return version_in(rows, who, digest)


def version_in(rows: Transaction, who: Principal, digest: str) -> Version:
    """As `get`, within a transaction."""
    return version_of(version_row(rows, who, digest))


def version_row(rows: Transaction, who: Principal, digest: str) -> Row:
    """The row of a version, its manifest unread. Raises NotFoundError: there is none, or it is another tenant's."""
    row = one(rows, "version", {"tenant": who.tenant, "digest": digest})
    if row is None:
        raise NotFoundError(f"no version {digest}. `graftwork registry list` shows what there is.")
    return row


def version_of(row: Row) -> Version:
    """The version in a row. Raises IntegrityError when its manifest is not as it was written."""
    fields: dict[str, Any] = {key: value for key, value in row.items() if key != "tenant"}
    return Version(**{**fields, "manifest": read_manifest(str(row["manifest"]), str(row["digest"]))})


def all_versions(registry: Registry, who: Principal) -> list[Version]:
    """Every version of the tenant, the newest first."""
    who.refuse_unless("read")
    with registry.database.reading() as rows:
        found = rows.select(Query(table="version", where={"tenant": who.tenant}, order="added_us", newest_first=True))
    return [version_of(row) for row in found]


def find(registry: Registry, who: Principal, text: str) -> str:
    """The whole digest of a version from its beginning.

    Raises:
        SpecError: fewer than six characters, or what no digest begins with.
        NotFoundError: none begins so.
        ConflictError: several do.
    """
    who.refuse_unless("read")
    if len(text) < SHORTEST or not set(text) <= set("0123456789abcdef"):
        raise SpecError([Problem("version", text, f"a digest, or {SHORTEST} or more of its first characters")])
    with registry.database.reading() as rows:
        found = rows.select(Query(table="version", where={"tenant": who.tenant}, prefix=("digest", text), limit=2))
    if not found:
        raise NotFoundError(f"no version {text}. `graftwork registry list` shows what there is.")
    if len(found) > 1:
        raise ConflictError(f"several versions begin with {text}. Give more of the digest.")
    return str(found[0]["digest"])


def read_file(registry: Registry, who: Principal, digest: str, path: str) -> Iterator[bytes]:
    """A file of a version, in pieces, checked as the last one comes.

    Raises:
        NotFoundError: there is no such version or file.
        IntegrityError: its bytes are not what was recorded.
    """
    note = _note(get(registry, who, digest).manifest, path)
    return checked(registry.blobs, note.digest)


def _note(manifest: Manifest, path: str) -> FileNote:
    for note in manifest.files:
        if note.path == path:
            return note
    raise NotFoundError(f"no file {path!r} in it. There are: {', '.join(note.path for note in manifest.files)}.")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
