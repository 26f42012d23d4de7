"""Blobs in a folder: `ab/abcd...`, each moved to its place when it is whole and on the disk.

What is being written lies in `arriving/`, locked by its writer; what a killed one left has no lock, and the next writer
takes it away.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from graftwork.core.digests import digest_of_file
from graftwork.core.errors import NotFoundError, WorkError
from graftwork.registry.blobs import CHUNK_BYTES
from graftwork.registry.interface import Blob
from graftwork.registry.manifest import DIGEST

ARRIVING = "arriving"


class FolderBlobs:
    """Bytes in files under `path`, which is made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, chunks: Iterable[bytes]) -> str:
        """As `Blobs.put`. Raises OSError when the disk is full; nothing is left of it then."""
        self.clear()
        with self._arriving() as (descriptor, temporary):
            total = sha256()
            for chunk in chunks:
                total.update(chunk)
                _write(descriptor, chunk)
            digest = total.hexdigest()
            place = self._place(digest)
            if place.is_file() and digest_of_file(place) == digest:
                os.utime(place)  # as fresh as one that was just written
                return digest
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
            _folder(place.parent)
            temporary.replace(place)
            _on_disk(place.parent)
        return digest

    def read(self, digest: str) -> Iterator[bytes]:
        """As `Blobs.read`."""
        try:
            with self._place(digest).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError as error:
            raise NotFoundError(f"no blob {digest}") from error

    def find(self, digest: str) -> Blob | None:
        """As `Blobs.find`."""
        return _blob(self._place(digest))

    def each(self) -> Iterator[Blob]:
        """As `Blobs.each`."""
        for path in sorted(self.path.glob("??/*")):
            if DIGEST.fullmatch(path.name) and (blob := _blob(path)):
                yield blob

    def remove(self, digest: str) -> None:
        """As `Blobs.remove`."""
        self._place(digest).unlink(missing_ok=True)

    def clear(self) -> int:
        """Take away what killed writers left; how many files that were."""
        removed = 0
        for path in (self.path / ARRIVING).glob("*"):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody writes it any more
                path.unlink()
                removed += 1
        return removed

    def _place(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise NotFoundError(f"no blob {digest!r}: a digest is 64 of 0-9 and a-f")
        return self.path / digest[:2] / digest

    @contextmanager
    def _arriving(self) -> Iterator[tuple[int, Path]]:
        """A locked file of this writer's own; gone afterwards unless it was moved to its place."""
        _folder(self.path / ARRIVING)
        path = self.path / ARRIVING / secrets.token_hex(12)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:  # cleared away between the two lines above
                raise WorkError("A writer of blobs was taken for a dead one. Try again.")
            yield descriptor, path
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)


def _write(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _folder(path: Path) -> None:
    """Make a folder and those above it, all on the disk."""
    if path.is_dir():
        return
    _folder(path.parent)
    path.mkdir(exist_ok=True)
    _on_disk(path.parent)


def _on_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _blob(path: Path) -> Blob | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Blob(digest=path.name, num_bytes=found.st_size, modified=datetime.fromtimestamp(found.st_mtime, UTC))
