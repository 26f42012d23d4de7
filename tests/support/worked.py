"""What worker processes do in tests. Importable, so that they can be told of it."""

import os
import signal
import sys
import time

from graftwork.core.errors import Problem, SpecError

CLOSED = "closed"


class OddError(Exception):
    """An error that cannot be made again from what it was made of."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def doing(*given):
    """A function that does what each task asks: (kind, value)."""
    counts = iter(range(1_000_000))

    def do(task):
        kind, value = task
        number = next(counts)
        return KINDS[kind](value) if kind in KINDS else {"given": given, "task": number, "pid": os.getpid()}[kind]

    return do


def refusing(said):
    """No function at all."""
    raise KeyError(said)


def _slept(seconds):
    time.sleep(seconds)
    return seconds


def _printed(text):
    print(text, flush=True)
    os.write(1, text.encode())
    sys.stdout.write(text)
    return text


def _refused(value):
    raise SpecError([Problem("a.b", value, "another", "Do something."), Problem("c", None, "more")])


def _raised(value):
    raise ValueError(value)


def _odd(value):
    raise OddError("a", value)


KINDS = {
    "same": lambda value: value,
    "sleep": _slept,
    "print": _printed,
    "refuse": _refused,
    "raise": _raised,
    "odd": _odd,
    "exit": os._exit,
    "kill": lambda value: os.kill(os.getpid(), value or signal.SIGKILL),
    "leave": sys.exit,
    "lambda": lambda value: lambda: value,
    "environment": os.environ.get,
    "length": len,
}
