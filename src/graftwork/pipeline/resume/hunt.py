"""Wait for the moment that was aimed at, looking at what the process writes, and kill it there."""

import time
from dataclasses import dataclass
from pathlib import Path

from graftwork.pipeline.resume.aim import Aim
from graftwork.pipeline.resume.journal import Journal, read_journal
from graftwork.pipeline.resume.started import Attempt
from graftwork.pipeline.resume.traces import writing

LOOK_S = 0.0005
"""Between two looks: some tens of looks while a checkpoint of a small adapter is being written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long things took when nothing was killed, in seconds.

    Attributes:
        start_s: from the start of the process until it begins to train.
        step_s: one step and what comes with it.
        write_s: writing one checkpoint.
        end_s: from the last step to the end.
    """

    start_s: float
    step_s: float
    write_s: float
    end_s: float


def quiet(attempt: Attempt, folder: Path, journal: Path) -> Pace:
    """Let it run to its end, and say how long things took."""
    began_s, written_s, num_writes, was_writing = time.monotonic(), 0.0, 0, False
    last_s = began_s
    while not attempt.has_ended():
        time.sleep(LOOK_S)
        now_s, is_writing = time.monotonic(), writing(folder) is not None
        written_s += (now_s - last_s) if is_writing else 0.0
        num_writes += is_writing and not was_writing
        last_s, was_writing = now_s, is_writing
    told = read_journal(journal)
    times_s = told.step_times_s or (began_s,)
    return Pace(
        start_s=times_s[0] - began_s,
        step_s=(times_s[-1] - times_s[0]) / max(1, len(times_s) - 1),
        write_s=written_s / max(1, num_writes),
        end_s=last_s - times_s[-1],
    )


def kill_at(aim: Aim, pace: Pace, attempt: Attempt, folder: Path, journal: Path) -> None:
    """Wait for the moment and kill, unless the process ends before. Whether it did is told by its exit code."""
    while not (attempt.has_ended() or _is_there(aim, folder, journal)):
        time.sleep(LOOK_S)
    lasts_s = {"start": pace.start_s, "step": pace.step_s, "write": pace.write_s, "end": pace.end_s}[aim.moment]
    until_s = time.monotonic() + aim.frac * lasts_s
    while not attempt.has_ended() and time.monotonic() < until_s:
        time.sleep(min(LOOK_S, max(0.0, until_s - time.monotonic())))
    if not attempt.has_ended():
        attempt.kill()


def _is_there(aim: Aim, folder: Path, journal: Path) -> bool:
    if aim.moment == "start":
        return True
    told = read_journal(journal)
    if not _is_past(aim, told):
        return False
    return aim.moment != "write" or writing(folder) is not None


def _is_past(aim: Aim, told: Journal) -> bool:
    """Whether the steps that are let pass are done; never when the end comes before."""
    if told.first_step is None:
        return False
    ahead = told.num_steps if aim.moment == "end" else told.first_step + aim.steps_ahead
    return told.last_step >= ahead
