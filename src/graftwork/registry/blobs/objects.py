"""Blobs in an object store (S3, Google Cloud, Azure and what speaks like them), through `obstore`.

An object appears whole or not at all, which the stores promise. Bytes go through a temporary file, since their digest,
which is their key, is known only after the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from graftwork.core.errors import NotFoundError, Problem, SpecError
from graftwork.registry.blobs import CHUNK_BYTES
from graftwork.registry.interface import Blob
from graftwork.registry.manifest import DIGEST

if TYPE_CHECKING:
    from obstore.store import ObjectStore

INSTALL = "Install it: pip install 'graftwork[objects]'"
PREFIX = "blobs"


def object_blobs(url: str) -> ObjectBlobs:
    """The store at an address such as s3://bucket/path; keys and region come from the environment.

    Raises:
        SpecError: the address cannot be read, or `obstore` is not installed.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise SpecError([Problem("blobs", url, "a package for object stores", INSTALL)]) from error
    try:
        return ObjectBlobs(from_url(url))
    except BaseError as error:
        raise SpecError([Problem("blobs", url, "an address such as s3://bucket/path", str(error))]) from error


class ObjectBlobs:
    """Bytes under `blobs/ab/abcd...` of an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, chunks: Iterable[bytes]) -> str:
        """As `Blobs.put`."""
        import obstore

        total = sha256()
        with TemporaryFile() as whole:
            for chunk in chunks:
                total.update(chunk)
                whole.write(chunk)
            whole.seek(0)
            obstore.put(self._store, _key(total.hexdigest()), whole)
        return total.hexdigest()

    def read(self, digest: str) -> Iterator[bytes]:
        """As `Blobs.read`."""
        import obstore

        try:
            found = obstore.get(self._store, _key(digest))
            for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotFoundError(f"no blob {digest}") from error

    def find(self, digest: str) -> Blob | None:
        """As `Blobs.find`."""
        import obstore

        try:
            found = obstore.head(self._store, _key(digest))
        except FileNotFoundError:
            return None
        return Blob(digest=digest, num_bytes=found["size"], modified=found["last_modified"])

    def each(self) -> Iterator[Blob]:
        """As `Blobs.each`."""
        import obstore

        for some in obstore.list(self._store, PREFIX):
            for one in some:
                name = one["path"].rsplit("/", 1)[-1]
                if DIGEST.fullmatch(name):
                    yield Blob(digest=name, num_bytes=one["size"], modified=one["last_modified"])

    def remove(self, digest: str) -> None:
        """As `Blobs.remove`."""
        import obstore

        try:
            obstore.delete(self._store, _key(digest))
        except FileNotFoundError:
            return


def _key(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise NotFoundError(f"no blob {digest!r}: a digest is 64 of 0-9 and a-f")
    return f"{PREFIX}/{digest[:2]}/{digest}"
