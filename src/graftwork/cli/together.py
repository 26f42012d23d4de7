"""`graftwork together` and `graftwork isolation-certificate`: several recipes in the same steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graftwork.cli.reply import answer
from graftwork.core.units import seconds_text

if TYPE_CHECKING:
    from graftwork.cli.watching import Terminal
    from graftwork.pipeline.spec import RunSpec
    from graftwork.pipeline.together import Outcomes
    from graftwork.training.report import StepReport
    from graftwork.training.stopping import Look

Recipes = Annotated[list[Path], typer.Argument(help="Recipes, YAML files, on the same base.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


class Several:
    """Shows several runs on one terminal: a bar over the steps of all."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.done: dict[str, int] = {}
        self.totals: dict[str, int] = {}

    def one(self, name: str) -> One:
        """The watch of one run."""
        return One(self, name)


class One:
    """Watches one of several runs."""

    def __init__(self, several: Several, name: str) -> None:
        self._several, self._name = several, name

    def say(self, text: str) -> None:
        """A line, and whose it is."""
        self._several.terminal.say(f"{self._name}: {text}")

    def preparing(self, label: str, done: int, total: int) -> None:
        """As the terminal shows it."""
        self._several.terminal.preparing(label, done, total)

    def training(self, done: int, total: int) -> None:
        """One more is trained."""
        several = self._several
        several.done[self._name], several.totals[self._name] = done, total
        several.terminal.training(sum(several.done.values()), sum(several.totals.values()))

    def step(self, report: StepReport) -> None:
        """A step of one is a step of all."""
        several = self._several
        several.done[self._name] = report.step
        several.terminal.step(replace(report, step=sum(several.done.values())))

    def looked(self, look: Look) -> None:
        """As the terminal shows it."""
        self.say(f"step {look.step}: held out {look.adapter_nats:.3f} (base {look.base_nats:.3f})")

    def evaluating(self, label: str, done: int, total: int) -> None:
        """As the terminal shows it."""
        self._several.terminal.evaluating(label, done, total)

    def should_stop(self) -> bool:
        """Asked to stop are all."""
        return self._several.terminal.should_stop()


def together(
    recipes: Recipes,
    out: Annotated[Path, typer.Option("--out", help="Holds the runs' folders, each by its name.")] = Path("runs"),
    evaluates: Annotated[bool, typer.Option("--evaluate/--no-evaluate", help="Evaluate each in the end.")] = True,
    most_tokens: Annotated[int, typer.Option("--most-tokens", min=1, help="Of several runs in a forward pass.")] = 1024,
    json: Json = False,
) -> int:
    """Train several recipes in the same steps on one base.

    Each ends with the bytes that it would have alone, in a run folder of its own. Killed or stopped, the same command
    goes on; so does `graftwork run` with one of them.
    """
    from graftwork.pipeline.together import run_together

    specs = _read(recipes)
    outcomes: Outcomes = _watched(
        lambda watch_of: run_together(specs, out=out, evaluates=evaluates, watch_of=watch_of, most_tokens=most_tokens)
    )
    data = outcomes_data(outcomes)
    answer(data, lambda console: show_outcomes(console, data), as_json=json)
    return 1 if outcomes.failures else 0


def isolation_certificate(
    recipes: Recipes,
    out: Annotated[Path, typer.Option("--out", help="New folder.")] = Path("runs/isolation-certificate"),
    json: Json = False,
) -> int:
    """Train recipes alone and together, and show that each ends with the same bytes."""
    from graftwork.pipeline.isolation import CERTIFICATE, certify_isolation, isolation_data

    specs = _read(recipes)
    made = _watched(lambda watch_of: certify_isolation(specs, out=out, alone=watch_of, together=watch_of))
    data = {"certificate": str(out / CERTIFICATE), **isolation_data(made)}
    answer(data, lambda console: show_isolation(console, data), as_json=json)
    return 0 if made.is_same else 1


def _read(recipes: Sequence[Path]) -> list[RunSpec]:
    """All of them, or all that is wrong with them."""
    from graftwork.core.errors import SpecError
    from graftwork.pipeline.recipes import read_request

    specs, problems = [], []
    for path in recipes:
        try:
            specs.append(read_request(path, []))
        except SpecError as error:
            problems += [replace(problem, path=f"{path}: {problem.path}") for problem in error.problems]
    if problems:
        raise SpecError(problems)
    return specs


def _watched(work: Callable[[Callable[[str], One]], Any]) -> Any:
    from graftwork.cli.threads import wait_as_the_machine_allows
    from graftwork.cli.watching import Terminal

    wait_as_the_machine_allows()
    with Terminal() as terminal:
        return work(Several(terminal).one)


def outcomes_data(outcomes: Outcomes) -> dict[str, Any]:
    """As plain data."""
    from graftwork.cli.views import run_data

    return {
        "runs": {name: run_data(result) for name, result in outcomes.results.items()},
        "failures": {name: str(error) for name, error in outcomes.failures.items()},
    }


def show_outcomes(console: Console, data: dict[str, Any]) -> None:
    """What became of each."""
    table = Table(title="Trained together", title_justify="left")
    for name in ("run", "steps", "trained numbers", "held-out loss", "adapter"):
        table.add_column(name, justify="right" if name in ("steps", "trained numbers") else "left")
    for name, run in data["runs"].items():
        trained, loss = run["steps"]["train"], run["steps"].get("evaluate", {}).get("loss")
        told = f"{loss['base']['mean']:.3f} to {loss['adapter']['mean']:.3f}" if loss else "-"
        table.add_row(
            escape(name), str(trained["num_steps"]), f"{trained['num_params']:,}", told, escape(run["adapter"])
        )
    console.print(table)
    for name, why in data["failures"].items():
        console.print(f"{name} did not end: {why}", markup=False)


def show_isolation(console: Console, data: dict[str, Any]) -> None:
    """Each adapter both ways, and the verdict."""
    table = Table(title="Alone and together", title_justify="left")
    for name in ("adapter", "method", "steps", "alone", "together", ""):
        table.add_column(name, justify="right" if name == "steps" else "left")
    for one in data["adapters"]:
        verdict = "same bytes" if one["is_same"] else "DIFFERENT"
        beside = (one["digest_together"] or "did not end")[:12]
        row = escape(one["name"]), one["method"], str(one["num_steps"]), one["digest_alone"][:12], beside, verdict
        table.add_row(*row)
    console.print(table)
    good, alone, beside = (
        sum(one["is_same"] for one in data["adapters"]),
        data["seconds_alone"],
        data["seconds_together"],
    )
    console.print(f"{good} of {len(data['adapters'])} end with the same bytes.", markup=False)
    console.print(
        f"Steps one after another {seconds_text(alone)}, together {seconds_text(beside)} ({beside / alone:.2f} x).",
        markup=False,
    )
    console.print(f"The certificate is {data['certificate']}", markup=False)
