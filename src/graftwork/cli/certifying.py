"""`graftwork resume-certificate`: kill a training again and again, and show that it ends with the same bytes."""

import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from graftwork.cli.reply import answer
from graftwork.core.units import seconds_text

LINE_EVERY_S = 15.0
"""Without a terminal, a line of progress this often instead of a bar."""


class KillBar:
    """Kills done, kills wanted, time left; on standard error."""

    def __init__(self, kills: int) -> None:
        self._kills, self._console = kills, Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._progress.add_task("training once without a kill", total=kills)
        self._began_s = self._line_s = time.monotonic()

    def __enter__(self) -> "KillBar":
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no process is left behind
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
        signal.signal(signal.SIGTERM, self._before)

    def told(self, done: int) -> None:
        """So many are done; 0 when the training without a kill is."""
        now_s = time.monotonic()
        if done == 0:
            self._began_s = now_s
            self._progress.reset(self._task, total=self._kills, description="kills")
        self._progress.update(self._task, completed=done)
        if done and self._progress.disable and now_s - self._line_s >= LINE_EVERY_S:
            self._line_s = now_s
            left = seconds_text((now_s - self._began_s) / done * (self._kills - done))
            self._console.print(f"kill {done} of {self._kills}  about {left} left", markup=False)


def resume_certificate(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)],
    kills: Annotated[int, typer.Option("--kills", min=1, max=100_000, help="Processes to kill.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other moments.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="New folder. [default: runs/<recipe name>-resume-certificate]")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe. Repeatable.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start each process from nothing: slower, with as many threads as usual.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Kill a training again and again, and show that it ends with the same bytes.

    Trains once without a kill, then again while processes are killed with SIGKILL, also while they write checkpoints.
    """
    from graftwork.pipeline.recipes import read_request
    from graftwork.pipeline.resume.certificate import CERTIFICATE, certificate_data, certify

    spec = read_request(recipe, settings or [])
    folder = out or Path("runs") / f"{spec.name}-resume-certificate"
    with KillBar(kills) as bar:
        made = certify(spec, out=folder, kills=kills, seed=seed, fresh=fresh, told=bar.told)
    data = {"certificate": str(folder / CERTIFICATE), **certificate_data(made)}
    answer(data, lambda console: show_certificate(console, data), as_json=json)
    return 0 if made.is_same else 1


def show_certificate(console: Console, data: dict[str, Any]) -> None:
    """Every kill, what it met, and the verdict."""
    table = Table(title="Kills (SIGKILL)", title_justify="left")
    for name in ("kill", "training", "steps done", "what it was doing", "went on from"):
        table.add_column(name, justify="left" if name.startswith("what") else "right")
    for one in data["kills"]:
        went_on = "-" if one["resumed_from"] is None else f"step {one['resumed_from']}"
        table.add_row(str(one["number"]), str(one["training"]), str(one["step"]), escape(one["doing"]), went_on)
    console.print(table)
    console.print(f"What was killed: {_kinds(data['kills'])}", markup=False)
    for one in data["trainings"]:
        same = f"otherwise: {', '.join(one['differences'])}; look at {one['folder']}" if one["differences"] else "same"
        console.print(f"training {one['number']}: {one['num_kills']} kills, {same}", markup=False)
    if data["why_fresh"]:
        console.print(f"Each process was started from nothing: {data['why_fresh']}", markup=False)
    good = sum(one["num_kills"] for one in data["trainings"] if not one["differences"])
    console.print(
        f"{good} of {data['num_kills']} kills lie in trainings that ended with the same bytes as the one left alone: "
        f"adapter {data['adapter_digest'][:12]}. {seconds_text(data['seconds'])}.",
        markup=False,
    )
    console.print(f"The certificate is {data['certificate']}", markup=False)


def _kinds(kills: Sequence[dict[str, Any]]) -> str:
    kinds = Counter(one["doing"].rstrip("0123456789 ") for one in kills)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
