"""What a training that may be killed at any moment says of itself: a line of JSON for each thing, written at once.

Times are of the monotonic clock, which is the same for all processes of a machine.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.pipeline.watch import Quiet
from graftwork.training.report import StepReport


class Journalist(Quiet):
    """A watch that writes the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def say(self, text: str) -> None:
        """A line that a person would read."""
        self.note({"said": text})

    def training(self, done: int, total: int) -> None:
        """Where it goes on from."""
        self.note({"first_step": done, "num_steps": total})

    def step(self, report: StepReport) -> None:
        """A step is done."""
        self.note({"step": report.step})

    def note(self, fields: Mapping[str, Any]) -> None:
        """One line, in one write."""
        os.write(self._file, (json.dumps({**fields, "at_s": time.monotonic()}) + "\n").encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What a journal says.

    Attributes:
        first_step: steps that were done when it went on, of the last stage that it got to; None before it did.
        num_steps: of the whole training, or stage.
        last_step: steps done.
        step_times_s: when it went on, and when each step was done.
        failed: why it ended in words, None unless it did.
    """

    first_step: int | None
    num_steps: int
    last_step: int
    step_times_s: tuple[float, ...]
    failed: str | None


def read_journal(path: Path) -> Journal:
    """The journal at `path`, also while it is being written; an empty one when it is not there."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    began = next((row for row in reversed(rows) if "first_step" in row), None)  # of several stages the last
    steps = [row for row in rows[rows.index(began) :] if "step" in row] if began else []
    first = began["first_step"] if began else None
    return Journal(
        first_step=first,
        num_steps=began["num_steps"] if began else 0,
        last_step=steps[-1]["step"] if steps else (first or 0),
        step_times_s=tuple(row["at_s"] for row in ([began] if began else []) + steps),
        failed=next((row["failed"] for row in rows if "failed" in row), None),
    )
