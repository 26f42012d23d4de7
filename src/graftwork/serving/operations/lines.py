"""Lines on their way to a file: taken at once, written by a thread, so that a slow reader holds up no answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Full, Queue
from typing import TextIO

MOST_LINES = 10_000
"""Lines that may wait for a file that takes none."""

CLOSING_S = 5.0
"""For the last lines to be written."""


class Lines:
    """Takes text as a file does. Where a file takes nothing for long, lines are lost, and it is told how many.

    Attributes:
        lost: how many, since the start.
    """

    def __init__(self, file: TextIO, note: Callable[[int], str]) -> None:
        """`file` is not closed here; `note` is the line that says how many were lost."""
        self._file, self._note, self.lost, self._told = file, note, 0, 0
        self._queue: Queue[str | None] = Queue(MOST_LINES)
        self._thread = threading.Thread(target=self._run, name="graftwork-log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Take a line with its end; never waits, never raises."""
        try:
            self._queue.put_nowait(text)
        except Full:
            self.lost += 1
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread does it after every line."""

    def close(self) -> None:
        """Write what is left, if the file takes it within `CLOSING_S`."""
        try:
            self._queue.put(None, timeout=CLOSING_S)
        except Full:
            return
        self._thread.join(CLOSING_S)

    def _run(self) -> None:
        while (text := self._queue.get()) is not None:
            try:
                if self.lost > self._told:
                    told = self.lost
                    self._file.write(self._note(told - self._told))
                    self._told = told
                self._file.write(text)
                self._file.flush()
            except (OSError, ValueError):  # a full disk, or a reader that went: answers go on
                self.lost += 1
