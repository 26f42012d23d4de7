"""Receipts on disk: lines chained by hash, a file a day, one writer.

    line = canonical JSON of {envelope, previous, sequence, tenant, receipt}
    previous = SHA-256 of the line before it, also where that is the last one of the file of an earlier day

Flip, cut out or put in whatever you like, the first line that is wrong is named. That lines are missing at the very end
nobody can tell from the lines alone; hold `Head` against one that was kept elsewhere.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from graftwork.core.digests import canonical_json
from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError
from graftwork.core.files import each_key_once
from graftwork.registry.interface import from_us
from graftwork.registry.signing.keys import PublicKey
from graftwork.serving.operations.receipts import Signed, read_receipt

BEGINNING = "0" * 64
"""What the first line has for the digest of the one before it."""

FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl")
KEPT = 10_000
"""Receipts that are found without reading a file."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last line: how many there are, and its digest, which all lines follow into."""

    sequence: int
    digest: str


class Journal:
    """Appends receipts. One process at a time may; `close` it."""

    def __init__(self, folder: Path) -> None:
        """Open a folder of receipts, or make it. A line that a kill cut short is taken away; `repaired` says so.

        Raises:
            ConflictError: another process writes there.
            IntegrityError: the last line is not as it was written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = FileLock(folder / ".lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise ConflictError(f"{folder}: another server writes receipts there. Give each its own folder.") from None
        self._recent: OrderedDict[str, str] = OrderedDict()
        self._file: IO[bytes] | None = None
        try:
            files = _files(folder)
            self.repaired = _repaired(files[-1]) if files else ""
            self.head = _last(files)
        except BaseException:
            self._lock.release()
            raise
        self._day = files[-1].stem if files else ""

    def append(self, one: Signed) -> Head:
        """Write a receipt; it survives the death of the process from here on, and of the machine after `sync`.

        Days never go back: a clock that does writes on in the last file.

        Raises:
            OSError: the disk is full, or gone; nothing of the receipt is there then.
        """
        line = line_of(one, self.head)
        day = max(f"{from_us(one.receipt.time_us):%Y-%m-%d}", self._day)
        if self._file is None or day != self._day:
            self.sync()
            if self._file is not None:
                self._file.close()
            self._file = (self.folder / f"{day}.jsonl").open("ab", buffering=0)
            self._day = day
        _write_whole(self._file, line + b"\n")
        self.head = Head(self.head.sequence + 1, sha256(line).hexdigest())
        self._recent[one.digest] = line.decode()
        if len(self._recent) > KEPT:
            self._recent.popitem(last=False)
        return self.head

    def sync(self) -> None:
        """Have what was written on the disk itself."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def find(self, tenant: str, text: str) -> str:
        """The envelope of a tenant's receipt, by its digest or by the id of its answer. It may read all files.

        Raises:
            NotFoundError: there is none, or it is another tenant's.
        """
        recent = self._recent.get(text)
        lines = [recent.encode()] if recent else _holding(self.folder, text)
        for line in lines:
            told = _read(line)
            if told["tenant"] == tenant and text in (told["receipt"], told["request"]):
                return canonical_json(told["envelope"]).decode()
        raise NotFoundError(f"no receipt {text}.")

    def close(self) -> None:
        """Have everything on the disk and let the folder go."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.release()


def _write_whole(file: IO[bytes], content: bytes) -> None:
    """Write all of it, or nothing; a full disk leaves no half line for others to go on from."""
    before = file.seek(0, os.SEEK_END)
    try:
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))
    except OSError:
        file.truncate(before)
        raise


def line_of(one: Signed, head: Head) -> bytes:
    """The line of a receipt behind others."""
    told = {
        "envelope": json.loads(one.envelope),
        "previous": head.digest,
        "receipt": one.digest,
        "request": one.receipt.request,
        "sequence": head.sequence + 1,
        "tenant": one.receipt.tenant,
    }
    return canonical_json(told)


def verified(folder: Path, trusted: Mapping[str, PublicKey]) -> Head:
    """Hold every line against the one before it, and every signature against the keys.

    Raises:
        IntegrityError: names the first line that is wrong, as FILE line N.
        NotFoundError: there is no folder of receipts.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is no folder of receipts.")
    head = Head(0, BEGINNING)
    for path in _files(folder):
        for number, line in enumerate(_lines(path), 1):
            try:
                head = _follows(line, head, trusted)
            except IntegrityError as error:
                raise IntegrityError(f"{path.name} line {number}: {error}") from error
    return head


def _follows(line: bytes, head: Head, trusted: Mapping[str, PublicKey]) -> Head:
    if not line.endswith(b"\n"):
        raise IntegrityError("it has no end; its writer was killed, or it was cut.")
    line = line[:-1]
    told = _read(line)
    if told.get("sequence") != head.sequence + 1:
        raise IntegrityError(f"it is number {told.get('sequence')}; {head.sequence + 1} should come here.")
    if told.get("previous") != head.digest:
        raise IntegrityError("it does not follow from the line before it.")
    one = read_receipt(canonical_json(told.get("envelope")).decode(), trusted)
    if line != line_of(one, head):
        raise IntegrityError("it says something else than its receipt.")
    return Head(head.sequence + 1, sha256(line).hexdigest())


def _read(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line, object_pairs_hook=each_key_once)
        if not isinstance(told, dict) or canonical_json(told) != line:
            raise ValueError("it is not written canonically")
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"it is not as it was written ({error}).") from error
    return told


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if FILE.fullmatch(path.name))


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _holding(folder: Path, text: str) -> Iterator[bytes]:
    """Lines that hold a text, the newest day first."""
    wanted = text.encode()
    for path in reversed(_files(folder)):
        yield from (line.rstrip(b"\n") for line in _lines(path) if wanted in line)


def _repaired(path: Path) -> str:
    """Take away the end of a file that is no whole line; what was done, in words."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        keep = _end_of_last_line(file, size)
        if keep == size:
            return ""
        file.truncate(keep)
        os.fsync(file.fileno())
    return f"{path.name}: its last {size - keep} bytes were no whole line, as a kill leaves them; they were taken away."


def _end_of_last_line(file: IO[bytes], size: int) -> int:
    at = size
    while at > 0:
        begin = max(0, at - 65_536)
        file.seek(begin)
        if (found := file.read(at - begin).rfind(b"\n")) >= 0:
            return begin + found + 1
        at = begin
    return 0


def _last(files: list[Path]) -> Head:
    for path in reversed(files):
        last = b""
        for line in _lines(path):
            last = line
        if last:
            try:
                told = _read(last[:-1])
            except IntegrityError as error:
                raise IntegrityError(f"{path.name}: its last line: {error}") from error
            return Head(int(told["sequence"]), sha256(last[:-1]).hexdigest())
    return Head(0, BEGINNING)
