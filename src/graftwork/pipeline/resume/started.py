"""Processes that train, from the side of the one that starts and kills them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from graftwork.core.errors import WorkError

CHILD = "import sys; from graftwork.pipeline.resume import child; getattr(child, sys.argv[1])(*sys.argv[2:])"

PRINTED = "printed.log"


class Attempt(Protocol):
    """A process that trains."""

    def has_ended(self) -> bool:
        """Whether it has, for whatever reason."""

    def kill(self) -> None:
        """Kill it with SIGKILL; nothing happens when it has ended already."""

    def exit_code(self) -> int:
        """Wait for its end; -9 when it was killed."""


class Starter(Protocol):
    """Starts processes that train, one at a time."""

    def start(self, folder: Path, journal: Path) -> Attempt:
        """A process that trains in `folder` and writes `journal`."""

    def close(self) -> None:
        """End all that was started."""


class Fresh:
    """Starts each from nothing, as the command line does."""

    def __init__(self, request: Path) -> None:
        self._request = request
        self._last: FreshAttempt | None = None

    def start(self, folder: Path, journal: Path) -> Attempt:
        """A process that trains in `folder` and writes `journal`."""
        self._last = FreshAttempt(_popen("train_alone", self._request, folder, journal))
        return self._last

    def close(self) -> None:
        """End the last one."""
        if self._last:
            self._last.kill()


class FreshAttempt:
    """A process of `Fresh`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def exit_code(self) -> int:
        """Wait for its end."""
        return self._process.wait()


class Forked:
    """Forks each from one process that has the base loaded. All compute with one thread, as a fork demands.

    Raises:
        WorkError: the base cannot be loaded.
    """

    def __init__(self, request: Path) -> None:
        one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._server = _popen("serve", request, environment={**os.environ, **one_thread})
        try:
            told = self._answer()
        except BaseException:
            self.close()
            raise
        if "failed" in told:
            self.close()
            raise WorkError(told["failed"])
        self.cannot: str | None = told["cannot_fork"]
        """Why none can be forked here; None when it can."""

    def start(self, folder: Path, journal: Path) -> Attempt:
        """A process that trains in `folder` and writes `journal`."""
        self.tell({"folder": str(folder), "journal": str(journal)})
        return ForkedAttempt(self, self._answer()["process"])

    def close(self) -> None:
        """End it and what was forked from it."""
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        for pipe in (self._server.stdin, self._server.stdout):
            if pipe:
                pipe.close()

    def tell(self, told: dict[str, Any]) -> None:
        """Send a line."""
        _pipe(self._server.stdin).write((json.dumps(told) + "\n").encode())

    def _answer(self) -> dict[str, Any]:
        line = _pipe(self._server.stdout).readline()
        if not line:
            raise WorkError(
                f"the process with the base ended with {self._server.wait()}; {PRINTED} has its last words."
            )
        told: dict[str, Any] = json.loads(line)
        return told

    def exit_code_of_last(self) -> int:
        """Of the process that was started last; waits for its end."""
        self._answer()
        self.tell({})
        return int(self._answer()["exit_code"])

    def has_an_answer(self) -> bool:
        """Whether it says something that was not read yet."""
        return bool(select.select([_pipe(self._server.stdout)], [], [], 0)[0])


class ForkedAttempt:
    """A process of `Forked`."""

    def __init__(self, server: Forked, number: int) -> None:
        self._server, self._number = server, number

    def has_ended(self) -> bool:
        """Whether it has."""
        return self._server.has_an_answer()

    def kill(self) -> None:
        """SIGKILL. The number is this process's own until `exit_code` is asked for."""
        os.kill(self._number, signal.SIGKILL)

    def exit_code(self) -> int:
        """Wait for its end."""
        return self._server.exit_code_of_last()


def _popen(function: str, *words: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A process that calls `function` of the child's file; what libraries print goes to a file beside `words[0]`."""
    speaks = subprocess.PIPE if environment else subprocess.DEVNULL
    with words[0].with_name(PRINTED).open("ab") as printed:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, function, *map(str, words)],
            stdin=speaks,
            stdout=speaks,
            stderr=printed,
            env=environment,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is the parent's to answer
        )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
