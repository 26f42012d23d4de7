"""Train once in peace, then again under kills, and compare what came out.

Source: the method is that of crash testing databases (kill, recover, compare); the moments are drawn by `aim.py`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from graftwork.core.digests import digest
from graftwork.core.errors import ConflictError, Problem, SpecError, WorkError
from graftwork.core.files import write_json
from graftwork.core.spec import parse, plain
from graftwork.pipeline.recipes import recipe_digest
from graftwork.pipeline.resume.aim import next_aim
from graftwork.pipeline.resume.hunt import Pace, kill_at, quiet
from graftwork.pipeline.resume.journal import Journal, read_journal
from graftwork.pipeline.resume.machine import machine, versions
from graftwork.pipeline.resume.started import Forked, Fresh, Starter
from graftwork.pipeline.resume.traces import Outcome, adapter_digest, doing, outcome
from graftwork.pipeline.spec import RunSpec

FORMAT = 1
CERTIFICATE = "certificate.json"
KILLED = -9


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """One process killed.

    Attributes:
        training: which of the trainings that were killed, from 1.
        step: steps done when it was killed.
        doing: what it was doing, read from what it left on disk.
        resumed_from: the step that the next process which got so far went on from; None when there is none.
    """

    number: int
    training: int
    step: int
    doing: str
    resumed_from: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A training that was killed, and went on to its end.

    Attributes:
        differences: in what it ended otherwise than the quiet one; empty when it is the same.
        folder: where it lies; None when it is the same, since it is removed then.
    """

    number: int
    num_kills: int
    adapter_digest: str
    differences: tuple[str, ...]
    folder: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What was done and what came out.

    Attributes:
        started: how each process began: "forked" from one with the base loaded, or "fresh".
        why_fresh: why none was forked though it was wanted.
    """

    name: str
    recipe_digest: str
    recipe: dict[str, Any]
    seed: int
    started: str
    why_fresh: str | None
    adapter_digest: str
    num_steps: int
    kills: tuple[Kill, ...]
    trainings: tuple[Ended, ...]
    pace: Pace
    seconds: float
    versions: dict[str, str]
    machine: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether every training that was killed ended with the bytes of the quiet one."""
        return all(not one.differences for one in self.trainings)


def certify(
    spec: RunSpec,
    *,
    out: Path,
    kills: int,
    seed: int,
    fresh: bool = False,
    told: Callable[[int], None] = lambda _: None,
) -> Certificate:
    """Do it, and write the certificate into `out`.

    Args:
        kills: processes to kill; as many trainings are begun as they need.
        seed: the moments are drawn from it. Where they fall depends on the machine's pace besides.
        fresh: start each process from nothing.
        told: called with the number of kills so far: 0 when the quiet training is done, then after each.

    Raises:
        SpecError: the recipe trains no adapter.
        ConflictError: something lies in `out` already.
        WorkError: a training failed by itself.
    """
    if spec.is_full:
        hint = "A base that is trained itself has the same checkpoints; try it with an adapter."
        raise SpecError([Problem("adapter.method", "full", "an adapter", hint)])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConflictError(f"{out} is there already. Choose another folder with --out, or move it away.")
    out.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    alone = parse(RunSpec, {**plain(spec), "trackers": []})  # nobody else is told of what is killed again and again
    write_json(out / "request.json", plain(alone))
    starter, why_fresh = _starter(out / "request.json", fresh=fresh)
    try:
        trial = Trial(spec=alone, out=out, starter=starter, draw=Random(seed))
        whole = trial.quietly()
        told(0)
        while len(trial.kills) < kills:
            trial.under_kills(kills, told)
    finally:
        starter.close()
    made = Certificate(
        name=spec.name,
        recipe_digest=recipe_digest(spec),
        recipe=dict(plain(spec)),
        seed=seed,
        started="fresh" if isinstance(starter, Fresh) else "forked",
        why_fresh=why_fresh,
        adapter_digest=adapter_digest(whole),
        num_steps=trial.num_steps,
        kills=tuple(trial.kills),
        trainings=tuple(trial.ended),
        pace=trial.pace,
        seconds=round(time.monotonic() - began_s, 1),
        versions=versions(),
        machine=machine(),
    )
    write_json(out / CERTIFICATE, certificate_data(made))
    return made


def certificate_data(made: Certificate) -> dict[str, Any]:
    """The certificate as plain data, with a digest of itself."""
    data = {"format": FORMAT, "is_same": made.is_same, "num_kills": len(made.kills), **asdict(made)}
    data["pace"] = {name: round(seconds, 4) for name, seconds in data["pace"].items()}
    data = {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}
    for one in data["trainings"]:
        one["differences"] = list(one["differences"])
    return {**data, "digest": digest(data)}


class Trial:
    """The one mutable thing of a certificate at work: what was killed so far, and what has ended."""

    def __init__(self, *, spec: RunSpec, out: Path, starter: Starter, draw: Random) -> None:
        self._spec, self._out, self._starter, self._draw = spec, out, starter, draw
        self._num_attempts = 0
        self._resumed_s = 0.0  # how long a start takes when the data is prepared; known when one was seen
        self.kills: list[Kill] = []
        self.ended: list[Ended] = []

    def quietly(self) -> Path:
        """Train without a kill; what comes out is what all others must come to."""
        folder, journal = self._out / "whole", self._journal()
        attempt = self._starter.start(folder, journal)
        self.pace = quiet(attempt, folder, journal)
        self._refuse_failure(attempt.exit_code(), journal)
        self.num_steps = read_journal(journal).num_steps
        self._expected: Outcome = outcome(folder)
        return folder

    def under_kills(self, most: int, told: Callable[[int], None]) -> None:
        """Train in a folder of its own, killed again and again until it ends or `most` kills are done in all."""
        number, before = len(self.ended) + 1, len(self.kills)
        folder = self._out / f"killed-{number:03d}"
        while not self._one_attempt(folder, number, is_last=len(self.kills) >= most):
            told(len(self.kills))
        came_to = outcome(folder)
        differences = came_to.differences(self._expected)
        ended = Ended(
            number=number,
            num_kills=len(self.kills) - before,
            adapter_digest=adapter_digest(folder),
            differences=differences,
            folder=str(folder) if differences else None,
        )
        self.ended.append(ended)
        if not differences:
            shutil.rmtree(folder)

    def _one_attempt(self, folder: Path, training: int, *, is_last: bool) -> bool:
        """Start a process and kill it; whether it got to its end."""
        journal = self._journal()
        began_s, is_first = time.monotonic(), not folder.exists()
        attempt = self._starter.start(folder, journal)
        if not is_last:
            pace = self.pace if is_first else replace(self.pace, start_s=self._resumed_s)
            every = self._spec.training.checkpoint_every
            kill_at(next_aim(self._draw, checkpoint_every=every), pace, attempt, folder, journal)
        code = attempt.exit_code()
        said = read_journal(journal)
        if said.step_times_s and not is_first:
            self._resumed_s = said.step_times_s[0] - began_s
        self._note_where_it_went_on(said, training)
        if code == KILLED:
            self._note_kill(said, folder, training)
            return False
        self._refuse_failure(code, journal)
        return True

    def _note_where_it_went_on(self, said: Journal, training: int) -> None:
        if said.first_step is not None and self.kills and self.kills[-1].training == training:
            self.kills[-1] = replace(self.kills[-1], resumed_from=said.first_step)

    def _note_kill(self, said: Journal, folder: Path, training: int) -> None:
        self.kills.append(
            Kill(
                number=len(self.kills) + 1,
                training=training,
                step=said.last_step,
                doing=doing(folder, said, checkpoint_every=self._spec.training.checkpoint_every),
            )
        )

    def _journal(self) -> Path:
        self._num_attempts += 1
        (self._out / "journals").mkdir(exist_ok=True)
        return self._out / "journals" / f"{self._num_attempts:04d}.jsonl"

    def _refuse_failure(self, code: int, journal: Path) -> None:
        if code != 0:
            why = read_journal(journal).failed or f"it ended with {code}"
            raise WorkError(f"a training failed by itself, after {len(self.kills)} kills: {why}")


def _starter(request: Path, *, fresh: bool) -> tuple[Starter, str | None]:
    """Forked processes where that is wanted and safe, else fresh ones and why."""
    if fresh:
        return Fresh(request), None
    forked = Forked(request)
    if forked.cannot is None:
        return forked, None
    forked.close()
    return Fresh(request), forked.cannot
