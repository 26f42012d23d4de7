"""Tar files with the same bytes for the same content, read member by member in the order in which they were written."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile

from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.core.files import replacing
from graftwork.registry.blobs import CHUNK_BYTES

IN_MEMORY_BYTES = 16 << 20


class ParcelWriter:
    """Puts members into a tar file: no owner, no time, no mode of its own."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Put a member in, from pieces."""
        with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as whole:
            for chunk in chunks:
                whole.write(chunk)
            member = tarfile.TarInfo(name)
            member.size = whole.tell()
            whole.seek(0)
            self._tar.addfile(member, whole)


@contextmanager
def writing(path: Path) -> Iterator[ParcelWriter]:
    """A parcel at `path`, there when it is whole."""
    with replacing(path) as whole, tarfile.open(whole, "w", format=tarfile.PAX_FORMAT) as tar:
        yield ParcelWriter(tar)


class ParcelReader:
    """Takes members out of a tar file, one after the other. Nothing is ever written to a path that it names."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._path, self._tar = path, tar

    def next(self) -> str | None:
        """The name of the next member; None at the end. Raises IntegrityError for what is no plain file."""
        member = self._tar.next()
        if member is not None and not member.isreg():
            raise IntegrityError(f"{self._path}: {member.name!a} is no plain file.")
        self._member = member
        return member.name if member else None

    def expect(self, name: str) -> None:
        """Raise IntegrityError unless the next member has this name."""
        if (found := self.next()) != name:
            raise IntegrityError(f"{self._path}: {name} should come next, and {found!a} does.")

    def chunks(self) -> Iterator[bytes]:
        """The bytes of this member, in pieces. Raises IntegrityError when the file ends within it."""
        assert self._member is not None
        file = self._tar.extractfile(self._member)
        assert file is not None
        try:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        except (tarfile.TarError, EOFError) as error:
            raise IntegrityError(f"{self._path} is not whole ({error}).") from error

    def text(self, limit_bytes: int) -> str:
        """This member as text of so many bytes at most."""
        assert self._member is not None
        if self._member.size > limit_bytes:
            raise IntegrityError(f"{self._path}: {self._member.name!a} has more than {limit_bytes:,} bytes.")
        try:
            return b"".join(self.chunks()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{self._path}: {self._member.name!a} is no text.") from error


@contextmanager
def reading(path: Path) -> Iterator[ParcelReader]:
    """The parcel at `path`.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no parcel, or not whole.
    """
    try:
        with tarfile.open(path, "r|") as tar:
            yield ParcelReader(path, tar)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(f"{path} is not there, or is no file.") from error
    except tarfile.TarError as error:
        raise IntegrityError(f"{path} is not as it was written ({error}).") from error
