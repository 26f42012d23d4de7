"""Encoded records on disk: written as they come, read without holding them in memory.

Three files: `<name>.tokens` (int32), `<name>.targets` (one byte each), and `<name>.index.npy`, a row of seven integers
for each entry: first token, number of tokens, source, window, and the origin's file (its number in the list that the
reader is given), line and unit. All little-endian.
"""

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_args
from weakref import finalize

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin, Unit

if TYPE_CHECKING:
    import numpy as np

UNITS: tuple[Unit, ...] = get_args(Unit)
COLUMNS = 7
TOKEN_BYTES = 4


@dataclass(frozen=True, slots=True)
class Packed:
    """An entry as bytes: tokens as int32, targets one byte each."""

    tokens: bytes
    targets: bytes
    origin: Origin
    source: int
    window: int

    @property
    def num_tokens(self) -> int:
        """Tokens in it."""
        return len(self.targets)

    @property
    def num_targets(self) -> int:
        """Tokens learned; the first of a row never is."""
        return sum(self.targets[1:])


def packed(entry: Encoded) -> Packed:
    """`entry` as bytes."""
    tokens = array("i", entry.tokens_T)
    return Packed(tokens.tobytes(), bytes(entry.is_target_T), entry.origin, entry.source, entry.window)


def files_of(name: Path) -> list[Path]:
    """Tokens, targets and index of the store called `name`."""
    return [name.with_name(f"{name.name}.{ending}") for ending in ("tokens", "targets", "index.npy")]


class StoreWriter:
    """Appends to a store; its index is there once the context is left without an error."""

    def __init__(self, name: Path) -> None:
        self.files: list[str] = []
        """Files of origins, by number."""
        self._name = name
        self._rows = array("q")
        self._at = 0

    def __enter__(self) -> "StoreWriter":
        tokens, targets, index = files_of(self._name)
        tokens.parent.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)  # of a store that lay here: it would not fit what is written now
        self._tokens, self._targets = tokens.open("wb"), targets.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
        if kind is None:
            import numpy as np

            rows = np.frombuffer(self._rows, dtype="<i8") if self._rows else np.zeros(0, "<i8")
            np.save(files_of(self._name)[2], rows.reshape(-1, COLUMNS))

    def close(self) -> None:
        """Close its files; without an index yet they are no store."""
        self._tokens.close()
        self._targets.close()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each entry so far."""
        return self._rows[1::COLUMNS].tolist()

    def add(self, entry: Packed) -> None:
        """Append `entry`."""
        origin = entry.origin
        if not self.files or self.files[-1] != origin.file:
            self.files.append(origin.file)
        self._tokens.write(entry.tokens)
        self._targets.write(entry.targets)
        place = len(self.files) - 1, origin.line, UNITS.index(origin.unit)
        self._rows.extend((self._at, entry.num_tokens, entry.source, entry.window, *place))
        self._at += entry.num_tokens


class TokenStore(Sequence[Encoded]):
    """A store as a sequence of `Encoded`, each read from disk when it is asked for.

    Read, not mapped: the pages of a mapped file count as the process's memory once they have been looked at.
    """

    def __init__(self, name: Path, files: Sequence[str]) -> None:
        import numpy as np

        tokens, targets, index = files_of(name)
        self._index: Any = np.load(index)
        self._files = files
        self._tokens, self._targets = self._opened(tokens), self._opened(targets)

    def _opened(self, path: Path) -> int:
        """A descriptor that is closed when nobody holds this any more, or the program ends."""
        descriptor = os.open(path, os.O_RDONLY)
        finalize(self, os.close, descriptor)
        return descriptor

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Encoded]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Encoded:  # type: ignore[override]  # no slices
        one = self.packed(i)
        tokens = array("i", one.tokens)
        return Encoded(tuple(tokens), tuple(map(bool, one.targets)), one.origin, one.source, one.window)

    def packed(self, i: int) -> Packed:
        """Entry `i` as bytes."""
        at, length, source, window, file, line, unit = map(int, self._index[i])
        tokens = os.pread(self._tokens, TOKEN_BYTES * length, TOKEN_BYTES * at)
        targets = os.pread(self._targets, length, at)
        return Packed(tokens, targets, Origin(self._files[file], line, UNITS[unit]), source, window)

    @property
    def lengths(self) -> "np.ndarray[Any, Any]":
        """Tokens of each entry, int64."""
        column: np.ndarray[Any, Any] = self._index[:, 1]
        return column

    @property
    def windows(self) -> "np.ndarray[Any, Any]":
        """Of each entry, which window of its record it is; int64."""
        column: np.ndarray[Any, Any] = self._index[:, 3]
        return column

    @property
    def sources(self) -> "np.ndarray[Any, Any]":
        """Source of each entry, int64."""
        column: np.ndarray[Any, Any] = self._index[:, 2]
        return column
