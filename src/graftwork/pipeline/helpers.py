"""Processes that this one starts to train with it. They leave when it does, however it ends.

A helper is a plain child with a pipe to its parent: when the pipe closes, the parent is gone, and so is the helper, at
once. A helper that dies is seen by its exit code, and its last words are kept.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from graftwork.core.workers import usable_cores
from graftwork.pipeline.seats import Seat, environment_of

PROGRAM = "from graftwork.pipeline.following import help_parent; help_parent()"
BEREFT = 3
"""Exit code of a helper that ends because another process is gone."""

GRACE_S = 10.0
"""How long a helper may take to leave when it is told that all is done."""


class Helpers:
    """Children of this process: of `size` that work together all but itself.

    Attributes:
        store: the file that they and this process talk through.
    """

    def __init__(self, size: int) -> None:
        self._scratch = TemporaryDirectory(prefix="graftwork-helpers-")  # nobody else may look into it
        self.store = str(Path(self._scratch.name) / "store")
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        threads = threads_each(size)
        for rank in range(1, size):
            seat = Seat(rank=rank, size=size, local_rank=rank, local_size=size, file=self.store)
            own = Path(self._scratch.name) / str(seat.rank)
            own.mkdir()
            environment = {"OMP_NUM_THREADS": str(threads), **os.environ, **environment_of(seat), "TMPDIR": str(own)}
            with self._words(seat.rank).open("wb") as words:
                self._children[seat.rank] = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM],
                    stdin=subprocess.PIPE,
                    stdout=words,
                    stderr=words,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is the parent's to answer
                )

    def gone(self) -> str:
        """Who has ended of itself, and how; nothing if nobody has."""
        codes = {rank: child.poll() for rank, child in self._children.items()}
        ended = {rank: code for rank, code in codes.items() if code not in (None, BEREFT)}
        return " ".join(f"Process {rank} {_how(code)}{self._last(rank)}" for rank, code in ended.items())

    def leave(self, *, at_once: bool) -> None:
        """See them all off, and clean up after them."""
        end_s = time.monotonic() + (0 if at_once else GRACE_S)
        for child in self._children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, end_s - time.monotonic()))
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
        self._scratch.cleanup()

    def _words(self, rank: int) -> Path:
        return Path(self._scratch.name) / f"{rank}.txt"

    def _last(self, rank: int) -> str:
        lines = self._words(rank).read_text("utf-8", errors="replace").strip().splitlines()
        return f": {lines[-1][:300]}" if lines else "."


def threads_each(size: int) -> int:
    """Threads for each of `size` processes of this machine, so that they do not fight for its cores."""
    return max(1, usable_cores() // size)


def leave_with_parent() -> None:
    """Watch the pipe to the parent, in a thread: when it closes, this process ends, whatever it is waiting for."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    with suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    shutil.rmtree(Path(os.environ["TMPDIR"]).parent, ignore_errors=True)  # nobody else is left to clean up
    os._exit(1)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    with suppress(ValueError):
        return f"was killed ({signal.Signals(-code).name})"
    return f"was killed (signal {-code})"
