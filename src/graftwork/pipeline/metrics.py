"""What a training writes down as it goes: a row of metrics.jsonl for each step and each look, and the same to trackers.

A row's `kind` is "step" or "evaluation". A run that goes on drops the rows of steps that it does again, so no step is
there twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from graftwork.core.files import write_text
from graftwork.pipeline.conflicts import numbers_of
from graftwork.pipeline.tracking import Tracking, tracking
from graftwork.pipeline.work import Work
from graftwork.training.report import StepReport
from graftwork.training.stopping import Look

METRICS = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """The open file, and the trackers beside it."""

    work: Work
    job: str
    file: TextIOWrapper
    trackers: Tracking

    def step(self, report: StepReport) -> None:
        """A step is done."""
        values = asdict(report)
        told = values.pop("conflicts")
        self._put("step", {**values, **({"conflicts": told} if told else {})})
        self.work.watch.step(report)

    def looked(self, look: Look) -> None:
        """The held-out loss was looked at."""
        self._put("evaluation", asdict(look))
        self.work.watch.looked(look)

    def _put(self, kind: str, values: dict[str, Any]) -> None:
        self.file.write(json.dumps({"kind": kind, **values, "job": self.job[:16]}) + "\n")
        self.file.flush()
        told = values.get("conflicts")
        self.trackers.put(kind, {**values, **(numbers_of(told) if told else {})})


@contextmanager
def metrics_from(work: Work, *, job: str, first_step: int) -> Iterator[Metrics]:
    """Metrics of the job with the digest `job`, open for what comes after `first_step` steps."""
    keep_until(work, METRICS, step=first_step, job=job)
    with (
        (work.folder.path / METRICS).open("a", encoding="utf-8") as file,
        tracking(work, job=job, first_step=first_step) as trackers,
    ):
        yield Metrics(work=work, job=job, file=file, trackers=trackers)


def rows_in(path: Path) -> list[dict[str, Any]]:
    """Every whole row; a process that was killed may have left a part of one."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def keep_until(work: Work, name: str, *, step: int, job: str) -> None:
    """Drop rows of steps after `step`, and of what is written at the end, which are about to be done again; those of
    another job are set aside."""
    path = work.folder.path / name
    rows = rows_in(path)
    if any(row["job"] != job[:16] for row in rows):
        work.folder.set_aside(name)
    kept = [row for row in rows if row["job"] == job[:16] and row["step"] <= step and not row.get("written")]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
