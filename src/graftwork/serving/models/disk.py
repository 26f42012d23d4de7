"""Adapters on the local disk: copied from the registry's blobs, checked as they come and whenever they are used."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from graftwork.core.digests import digest_of_file
from graftwork.core.errors import CapacityError, ConflictError, IntegrityError
from graftwork.core.files import arriving
from graftwork.core.units import bytes_text
from graftwork.registry.blobs import checked
from graftwork.registry.interface import Blobs
from graftwork.registry.manifest import FileNote, Manifest

ADAPTER = "adapter/"
"""Where the files of an adapter lie within a version."""

LOCK = ".lock"
OURS = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}-.+")
"""Names of folders in a cache: of versions, and of those that were being copied when a process was killed."""


class DiskCache:
    """The adapter files of versions in folders of their digests, within a budget; the least recently used leave.

    One process at a time. Its methods may be called from any thread.
    """

    def __init__(self, folder: Path, blobs: Blobs, *, budget_bytes: int) -> None:
        """Take the folder.

        Raises:
            ConflictError: another process has it, or it holds something else.
        """
        self.folder, self.budget_bytes = folder, budget_bytes
        self._blobs = blobs
        self._guard = Lock()
        self._used: dict[str, int] = {}  # bytes; the least recently used first
        self._in_use: Counter[str] = Counter()
        self._making: dict[str, Lock] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConflictError(f"{folder}: another server keeps its adapters there. Give this one another.") from error
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder; what is in it is used again."""
        self._lock.release()

    @property
    def used_bytes(self) -> int:
        """Of all that lies there."""
        with self._guard:
            return sum(self._used.values())

    @contextmanager
    def held(self, version: str, manifest: Manifest) -> Iterator[Path]:
        """The folder of a version's adapter, whole and checked; it stays until the block ends.

        Raises:
            IntegrityError: a file is missing from the blobs, or is not what was recorded.
            CapacityError: it is larger than the cache.
        """
        files = adapter_files(manifest)
        with self._guard:
            self._in_use[version] += 1
            making = self._making.setdefault(version, Lock())
        try:
            with making:
                folder = self._there(version, files)
            yield folder
        finally:
            with self._guard:
                self._in_use[version] -= 1
                if not self._in_use[version]:
                    del self._in_use[version], self._making[version]

    def _there(self, version: str, files: Sequence[FileNote]) -> Path:
        folder = self.folder / version
        needed_bytes = sum(note.num_bytes for note in files)
        with self._guard:
            is_there = self._used.pop(version, None) is not None
            if not is_there:
                self._make_room(needed_bytes)
            self._used[version] = needed_bytes  # the room is its own, and it is the most recently used
        try:
            if is_there and not _is_whole(folder, files):
                shutil.rmtree(folder)
                is_there = False
            if not is_there:
                self._copy(folder, files)
        except BaseException:
            with self._guard:
                self._used.pop(version, None)
            raise
        return folder

    def _copy(self, folder: Path, files: Sequence[FileNote]) -> None:
        with arriving(folder) as whole:
            for note in files:
                with (whole / note.path.removeprefix(ADAPTER)).open("wb") as file:
                    for chunk in checked(self._blobs, note.digest):
                        file.write(chunk)

    def _make_room(self, needed_bytes: int) -> None:
        """Called with the guard."""
        for version in [version for version in self._used if not self._in_use[version]]:
            if sum(self._used.values()) + needed_bytes <= self.budget_bytes:
                break
            del self._used[version]
            shutil.rmtree(self.folder / version)
        if sum(self._used.values()) + needed_bytes > self.budget_bytes:
            raise CapacityError(
                f"its files have {bytes_text(needed_bytes)}, and the cache of adapters on the disk has no room for "
                f"them within its {bytes_text(self.budget_bytes)}. Raise models.disk."
            )

    def _begin(self) -> None:
        """What an earlier process left: a whole folder is used again once it is checked, a half one goes."""
        found = [path for path in self.folder.iterdir() if path.name != LOCK]
        if strange := [path.name for path in found if not OURS.fullmatch(path.name)]:
            raise ConflictError(f"{self.folder} holds {min(strange)}, which is no adapter's. Give an empty folder.")
        for path in found:
            if path.name.startswith("."):
                shutil.rmtree(path)
            else:
                self._used[path.name] = sum(file.stat().st_size for file in path.iterdir())


def adapter_files(manifest: Manifest) -> tuple[FileNote, ...]:
    """The files of the adapter's folder. Raises IntegrityError when the version has none."""
    files = tuple(note for note in manifest.files if note.path.startswith(ADAPTER))
    if not files:
        raise IntegrityError(f"the version holds no files under {ADAPTER}. Add its run again.")
    if any("/" in note.path.removeprefix(ADAPTER) for note in files):
        raise IntegrityError(f"the version holds folders within {ADAPTER}, which no adapter has.")
    return files


def _is_whole(folder: Path, files: Sequence[FileNote]) -> bool:
    wanted = {note.path.removeprefix(ADAPTER): note.digest for note in files}
    found = {path.name for path in folder.iterdir()}
    return found == wanted.keys() and all(digest_of_file(folder / name) == wanted[name] for name in found)
