"""One version as one file, to carry it to another registry: manifest, signatures, files; checked in full on arrival."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from graftwork.core.digests import canonical_json
from graftwork.core.errors import ConflictError, IntegrityError
from graftwork.registry.access.roles import Principal
from graftwork.registry.blobs import checked
from graftwork.registry.manifest import LIMIT_BYTES, manifest_bytes, manifest_digest, read_manifest
from graftwork.registry.parcels import ParcelReader, reading, writing
from graftwork.registry.signing.envelope import of_version, signers
from graftwork.registry.state import Registry
from graftwork.registry.versions import get, put_in

HEAD = {"format": 1, "kind": "graftwork version"}


def export_version(registry: Registry, who: Principal, digest: str, path: Path) -> None:
    """Write a version to a new file; the same bytes each time.

    Raises:
        ConflictError: there is a file of this name, or the version's files were given up.
        IntegrityError: its files are not what they were; nothing is written.
    """
    version = get(registry, who, digest)
    if version.collected_us is not None:
        raise ConflictError(f"the files of {digest[:12]} were given up. Add its run again.")
    refuse_existing(path)
    with writing(path) as parcel:
        parcel.put("head.json", [canonical_json(HEAD)])
        parcel.put("manifest.json", [manifest_bytes(version.manifest)])
        parcel.put("envelope.json", [(version.envelope or "").encode()])
        for note in version.manifest.files:
            parcel.put(f"files/{note.path}", checked(registry.blobs, note.digest))


def import_version(registry: Registry, who: Principal, path: Path, *, signed: bool = True) -> str:
    """Put in a version from a file that `export_version` wrote; its digest.

    Args:
        signed: whether a trusted key must have signed it.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not as it was written, or nobody who is trusted signed it. Nothing is recorded then.
    """
    who.refuse_unless("administer")
    with reading(path) as parcel:
        refuse_other_head(parcel, HEAD, path)
        parcel.expect("manifest.json")
        manifest = read_manifest(parcel.text(LIMIT_BYTES))
        parcel.expect("envelope.json")
        envelope = parcel.text(LIMIT_BYTES) or None
        found = signers(envelope, of_version(manifest), registry.trusted) if envelope else frozenset()
        if signed and not found:
            raise IntegrityError(
                f"{path}: no key that is trusted here signed version {manifest_digest(manifest)[:12]}. "
                "Trust its signer's key (graftwork registry keys trust), or import it with --unsigned."
            )
        names = [note.path for note in manifest.files]
        files = {name: _member(parcel, name, last=name == names[-1]) for name in names}
        return put_in(registry, who, manifest, files, envelope, imported=path.name)


def refuse_existing(path: Path) -> None:
    """Raise ConflictError when there is a file of this name."""
    if path.exists():
        raise ConflictError(f"{path} is there already. Choose another name or move it away.")


def refuse_other_head(parcel: ParcelReader, head: object, path: Path) -> None:
    """Raise IntegrityError unless the parcel begins as it should."""
    parcel.expect("head.json")
    try:
        found = json.loads(parcel.text(LIMIT_BYTES))
    except (ValueError, RecursionError):
        found = None
    if found != head:
        raise IntegrityError(f"{path} is another kind of file, or of a newer form.")


def _member(parcel: ParcelReader, name: str, *, last: bool) -> Iterator[bytes]:
    """The bytes of the next member, which must have this name; after the last one nothing may come."""
    parcel.expect(f"files/{name}")
    yield from parcel.chunks()
    if last and (more := parcel.next()) is not None:
        raise IntegrityError(f"the file holds {more!a} besides what its manifest says.")
