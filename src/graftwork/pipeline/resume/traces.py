"""What a killed training was doing, read from what it left on disk; and what a finished one ended with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.adapters.card import FILE as CARD
from graftwork.core.digests import digest, digest_of_file
from graftwork.core.files import read_json
from graftwork.pipeline.resume.journal import Journal

CHECKPOINTS = "checkpoints/*/step-*.safetensors"
HALF_CHECKPOINTS = ("checkpoints/*/.step-[0-9]*", "stages/*/checkpoints/*/.step-[0-9]*")
"""What lies there only while a checkpoint is being written, or when that was cut off."""
TIMES = ("seconds", "_s")
"""How names of times end, which differ between any two runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a finished training ended with.

    Attributes:
        adapter: digest of all its files, but for its card, of which the digest of what it computes is taken.
        state: digest of the newest checkpoint: all trained tensors, the optimizer's and what goes on beside them.
        metrics: digest of every number of every step, but times.
        torn: files that were left half written.
    """

    adapter: str
    state: str
    metrics: str
    torn: tuple[str, ...]

    def differences(self, other: Outcome) -> tuple[str, ...]:
        """In what `other` ended otherwise; half-written files of this one are one, too."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in ("adapter", "state", "metrics")}
        moved = tuple(name for name, (mine, its) in pairs.items() if mine != its)
        return (*moved, *(("torn files",) if self.torn else ()))


def writing(folder: Path) -> Path | None:
    """The checkpoint that is being written in a run's folder, or was when its process died."""
    return next((half for pattern in HALF_CHECKPOINTS for half in folder.glob(pattern)), None)


def doing(folder: Path, journal: Journal, *, checkpoint_every: int) -> str:
    """What a process that was killed was doing last."""
    if journal.first_step is None:
        return "starting"
    if half := writing(folder):
        return f"writing checkpoint {_step_of(half.name[1:])}"
    last = journal.last_step
    newest = max((_step_of(path.name) for path in folder.glob(CHECKPOINTS)), default=0)
    is_due = last > journal.first_step and (last % checkpoint_every == 0 or last == journal.num_steps)
    if is_due and newest < last:
        return f"before writing checkpoint {last}"
    if last < journal.num_steps:
        return f"in step {last + 1}"
    if any(folder.glob(".adapter-*")):
        return "writing the adapter"
    return "after the last checkpoint"


def outcome(folder: Path) -> Outcome:
    """What the finished training in a run's folder ended with."""
    newest = max(folder.glob(CHECKPOINTS), key=lambda path: path.name)
    files = sorted(path for path in (folder / "adapter").iterdir() if path.name != CARD)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return Outcome(
        adapter=digest({"card": adapter_digest(folder), **{path.name: digest_of_file(path) for path in files}}),
        state=digest_of_file(newest),
        metrics=digest([_without_times(row) for row in rows]),
        torn=tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != ".lock")),
    )


def _without_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.endswith(TIMES)}


def _step_of(name: str) -> int:
    return int(name.removeprefix("step-").partition(".")[0])


def adapter_digest(folder: Path) -> str:
    """The adapter's digest, as its card and the run's report tell it."""
    card: Any = read_json(folder / "adapter" / CARD)
    return str(card["digest"])
