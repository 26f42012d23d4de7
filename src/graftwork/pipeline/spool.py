"""Records between the first look, one by one, and the decisions that need them all: on disk, facts in arrays."""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from graftwork.data.chunk import Chunk, Ready
from graftwork.data.privacy.vault import merged
from graftwork.data.quality.traits import Traits
from graftwork.data.records import Record
from graftwork.data.store import StoreWriter, TokenStore
from graftwork.data.tally import Tally
from graftwork.data.written import json_line, record_from

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Spool:
    """Everything that came out of the first pass. Its folder goes when its context is left."""

    def __init__(self, folder: Path, quarantine: Path) -> None:
        self.tally = Tally()
        self.sealed: dict[str, bytes] = {}
        self.digests = bytearray()
        self.groups, self.answers, self.sources = array("q"), array("q"), array("q")
        self.is_held_out = bytearray()
        self._folder, self._quarantine_path = folder, quarantine
        self._begins, self._entries = array("q", [0]), array("q", [0])
        self._parts: list[Traits] = []

    def __enter__(self) -> Spool:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        self._lines: IO[bytes] = (self._folder / "records").open("w+b")
        self._quarantine: IO[bytes] = self._quarantine_path.open("wb")
        self._store = StoreWriter(self._folder / "tokens")
        self._store.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._store.close()
        self._lines.close()
        self._quarantine.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self.is_held_out)

    def add(self, chunk: Chunk) -> None:
        """Take in what became of a task."""
        self.tally.add(chunk.tally)
        for placeholder, sealed in chunk.sealed.items():
            if self.sealed.setdefault(placeholder, sealed) != sealed:
                merged([self.sealed, chunk.sealed])  # raises, and says what to do
        for row in chunk.quarantined:
            self.quarantine(row)
        for ready in chunk.ready:
            self._take(ready)
        if chunk.traits is not None and chunk.ready:
            self._parts.append(chunk.traits)

    def _take(self, ready: Ready) -> None:
        self._lines.write(ready.line)
        self._begins.append(self._begins[-1] + len(ready.line))
        self.digests += ready.digest
        self.groups.append(ready.group)
        self.answers.append(ready.answer)
        self.sources.append(ready.entries[0].source)
        self.is_held_out.append(ready.is_held_out)
        for entry in ready.entries:
            self._store.add(entry)
        self._entries.append(self._entries[-1] + len(ready.entries))

    def closed(self) -> None:
        """The first pass is over: from here on the spool is read."""
        self._lines.flush()
        self._store.__exit__(None, None, None)
        self.tokens = TokenStore(self._folder / "tokens", self._store.files)

    def traits(self) -> Traits:
        """Traits of all records, in order."""
        return Traits.joined(self._parts)

    def line(self, i: int) -> bytes:
        """Record `i` as it is written."""
        self._lines.seek(self._begins[i])
        return self._lines.read(self._begins[i + 1] - self._begins[i])

    def record(self, i: int) -> Record:
        """Record `i`."""
        return record_from(json.loads(self.line(i)))

    def entries(self, i: int) -> Iterator[int]:
        """Numbers of the entries of record `i` in `tokens`."""
        return iter(range(self._entries[i], self._entries[i + 1]))

    def quarantine(self, row: dict[str, Any]) -> None:
        """Write a row into the quarantine file."""
        self._quarantine.write(json_line(row))

    def array(self, name: str) -> Array:
        """One of the facts about all records as an array."""
        import numpy as np

        if name == "digests":
            return np.frombuffer(bytes(self.digests), dtype=">u8").astype("<u8").reshape(-1, 2)
        kinds = {"groups": "<i8", "answers": "<i8", "sources": "<i8", "is_held_out": "u1"}
        return np.frombuffer(bytes(getattr(self, name)), dtype=kinds[name])
