"""A run with a progress bar: loss, tokens per second, time left, memory. Ctrl-C or SIGTERM saves and leaves."""

import resource
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from graftwork.cli.threads import wait_as_the_machine_allows
from graftwork.core.errors import Interrupted
from graftwork.core.units import bytes_text, seconds_text
from graftwork.pipeline.parallel import ONE, Parallel, seat_here
from graftwork.pipeline.run import RunResult, Until, run
from graftwork.training.report import StepReport
from graftwork.training.stopping import Look

LINE_EVERY_S = 15.0
"""Without a terminal, a line of progress this often instead of a bar."""


class Terminal:
    """A watch that shows a run to a person, on standard error.

    Args:
        before: what begins once all is loaded.
    """

    def __init__(self, *, quiet: bool = False, before: str = "training") -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", visible=False, told="")
        self._stop = False
        self._total, self._began_s, self._first, self._line_s = 0, 0.0, 0, 0.0
        self._held_out = ""
        self._before_what, self._evaluates = before, False

    def __enter__(self) -> "Terminal":
        self._before = {s: signal.signal(s, self._asked_to_stop) for s in (signal.SIGINT, signal.SIGTERM)}
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def say(self, text: str) -> None:
        """One line."""
        self._progress.console.print(text, markup=False)

    def preparing(self, label: str, done: int, total: int) -> None:
        """Move the bar of the data; without a terminal, a line now and then."""
        done, unit = min(done, total), "records"
        if label == "reading":
            done, total, unit = done // 1_000_000, total // 1_000_000, "MB"
        self._progress.update(
            self._task, description=label, total=total, completed=done, visible=done < total, told=unit
        )
        now_s = time.monotonic()
        if self._progress.disable and total and now_s - self._line_s >= LINE_EVERY_S:
            if self._line_s:
                self.say(f"{label}: {100 * done / total:.0f} %")
            self._line_s = now_s

    def training(self, done: int, total: int) -> None:
        """A new bar."""
        self._total, self._first, self._evaluates = total, done, False
        self._began_s = self._line_s = time.monotonic()
        self._progress.reset(self._task, total=total, completed=done, description="training", visible=True, told="")

    def step(self, report: StepReport) -> None:
        """Move the bar; without a terminal, a line now and then."""
        memory = bytes_text(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        speed = report.num_tokens / max(report.seconds, 1e-9)
        told = f"loss {report.loss_nats:.3f}{self._held_out}  {speed:,.0f} tokens/s  peak {memory}"
        self._progress.update(self._task, completed=report.step, told=told)
        now_s, last = time.monotonic(), report.step == self._total
        if self._progress.disable and (last or now_s - self._line_s >= LINE_EVERY_S):
            self._line_s = now_s
            per_step = (now_s - self._began_s) / (report.step - self._first)
            left = seconds_text(per_step * (self._total - report.step))
            self.say(f"step {report.step} of {self._total}  {told}  {left} left")

    def looked(self, look: Look) -> None:
        """The held-out loss beside the loss from now on; without a terminal, a line."""
        self._held_out = f"  held out {look.adapter_nats:.3f} (base {look.base_nats:.3f})"
        if self._progress.disable:
            self.say(f"step {look.step} of {self._total}{self._held_out}{'  best so far' if look.is_best else ''}")

    def evaluating(self, label: str, done: int, total: int) -> None:
        """Move the bar of an evaluation."""
        self._evaluates = True
        self._progress.update(
            self._task, description=label, total=total, completed=done, visible=done < total, told="records"
        )
        if self._progress.disable and done == 0:
            self.say(f"{label}: {total} records")

    def should_stop(self) -> bool:
        """Whether a signal asked for it."""
        return self._stop

    def _asked_to_stop(self, number: int, _: FrameType | None) -> None:
        if self._stop:  # asked twice: leave at once
            kept = "what is finished" if self._evaluates else "the last checkpoint"
            raise Interrupted(f"interrupted; {kept} is kept, the same command goes on from there")
        self._stop = True
        if self._evaluates:
            self.say("stopping after this batch; the same command goes on with what is finished (once more: at once)")
        elif self._total == 0:
            raise Interrupted(f"interrupted before {self._before_what}; the same command begins again")
        else:
            self.say("stopping after this step; the state will be saved (once more to leave at once)")


def watched_run(
    recipe: Path,
    out: Path | None,
    settings: Sequence[str],
    until: Until,
    *,
    workers: int | None = None,
    parallel: Parallel = ONE,
) -> RunResult:
    """Run the recipe at `recipe` before a person's eyes.

    Of several processes that a launcher started the first one speaks, and the others end here.
    """
    wait_as_the_machine_allows()
    seat = seat_here()
    speaks = seat is None or seat.rank == 0
    with Terminal(quiet=not speaks) as terminal:
        result = run(
            recipe, out=out, settings=settings, until=until, watch=terminal, workers=workers, parallel=parallel
        )
    if not speaks:
        raise typer.Exit
    return result
