"""Blobs in memory, gone with the process."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from graftwork.core.errors import NotFoundError
from graftwork.registry.interface import Blob, Clock


class MemoryBlobs:
    """Bytes in a mapping; `clock` says when they were put there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: dict[str, tuple[bytes, Blob]] = {}

    def put(self, chunks: Iterable[bytes]) -> str:
        """As `Blobs.put`."""
        content = b"".join(chunks)
        digest = sha256(content).hexdigest()
        self.kept[digest] = (content, Blob(digest=digest, num_bytes=len(content), modified=self._clock()))
        return digest

    def read(self, digest: str) -> Iterator[bytes]:
        """As `Blobs.read`."""
        if digest not in self.kept:
            raise NotFoundError(f"no blob {digest}")
        yield self.kept[digest][0]

    def find(self, digest: str) -> Blob | None:
        """As `Blobs.find`."""
        return self.kept[digest][1] if digest in self.kept else None

    def each(self) -> Iterator[Blob]:
        """As `Blobs.each`."""
        yield from [blob for _, blob in self.kept.values()]

    def remove(self, digest: str) -> None:
        """As `Blobs.remove`."""
        self.kept.pop(digest, None)
