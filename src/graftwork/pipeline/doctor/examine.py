"""`doctor`: all checks of a recipe, before anything of it is trained.

The data is prepared in the run's own folder, where the run then finds it done; but in a passing one where an adapter
of other data lies there, which a preparation would set aside. Nothing else is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graftwork.core.errors import GraftworkError, Interrupted
from graftwork.pipeline.doctor.check import Check, Examined, Finding
from graftwork.pipeline.doctor.checks import in_order
from graftwork.pipeline.doctor.patient import Patient
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.recipes import effective_text
from graftwork.pipeline.run import checked_and_prepared
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.stages import before_training, earlier_stages
from graftwork.pipeline.untouched import untouched
from graftwork.pipeline.watch import Watch
from graftwork.pipeline.work import Work

Told = Callable[[str, int, int], None]
"""Told which check begins, how many are done and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """All that was found.

    Attributes:
        folder: where the data was prepared.
        is_passing: whether that folder is gone.
    """

    folder: Path
    is_passing: bool
    seconds: float
    made: tuple[Examined, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing failed."""
        return all(one.finding.verdict != "failed" for one in self.made)


def doctor(spec: RunSpec, *, out: Path | None, watch: Watch, told: Told, device: str = "cpu") -> Examination:
    """Examine what `spec` asks for.

    Args:
        out: folder of the run; `runs/<recipe name>` by default.

    Raises:
        GraftworkError: the request is wrong, or its data cannot be prepared.
        Interrupted: asked to stop; what is prepared is kept.
    """
    began_s = time.monotonic()
    path = out or Path("runs") / spec.name
    with untouched(spec, path, watch) as (place, is_passing), RunFolder(place) as folder:
        work = Work(spec=spec, folder=folder, watch=watch, device=device)
        with earlier_stages(work) as earlier:
            works = [*earlier, work]
            ready = before_training(works, checked_and_prepared)
            if not is_passing:
                folder.keep_recipe(effective_text(spec))
            made = tuple(_examined(works, ready, told))
    return Examination(folder=path, is_passing=is_passing, seconds=time.monotonic() - began_s, made=made)


def examined(check: Check, patient: Patient, stage: str = "") -> Examined:
    """One check; whatever keeps it from being made is what it found."""
    began_s = time.monotonic()
    try:
        finding = check.examine(patient)
    except Interrupted:
        raise
    except (GraftworkError, RuntimeError) as error:
        finding = Finding(verdict="failed", found=str(error), to_do="The training would fail in the same way.")
    seconds = time.monotonic() - began_s
    return Examined(check=check.name, asks=check.asks, stage=stage, seconds=seconds, finding=finding)


def _examined(works: list[Work], ready: list[tuple[Done, Done]], told: Told) -> Iterator[Examined]:
    names = [stage.name for stage in works[-1].spec.stages] or [""]
    patients = [Patient(work, *done) for work, done in zip(works, ready, strict=True)]
    due = [
        (check, patient, names[number])
        for check in in_order()
        for number, patient in enumerate(patients)
        if check.of_data or number == 0
    ]
    for done, (check, patient, stage) in enumerate(due):
        patient.work.stop_if_asked("prepared")
        told(f"{check.name} {stage}".strip(), done, len(due))
        yield examined(check, patient, stage)
    told("", len(due), len(due))
