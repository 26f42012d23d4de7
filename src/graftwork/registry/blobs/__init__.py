"""Stores of blobs: a folder, an object store, memory; and reading that checks what it reads."""

from collections.abc import Iterator
from hashlib import sha256

from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.registry.interface import Blobs

CHUNK_BYTES = 1 << 20


def checked(blobs: Blobs, digest: str) -> Iterator[bytes]:
    """The bytes under a digest, in pieces; whoever uses them before the last one came has them unchecked.

    Raises:
        IntegrityError: they are not there, or are not what they were.
    """
    total = sha256()
    try:
        for chunk in blobs.read(digest):
            total.update(chunk)
            yield chunk
    except NotFoundError as error:
        raise IntegrityError(f"blob {digest} is missing from the store.") from error
    if total.hexdigest() != digest:
        raise IntegrityError(f"blob {digest} is not what it was: its bytes have digest {total.hexdigest()}.")
