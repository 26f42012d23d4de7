"""Results for people: plain tables and the next thing to do. No torch."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graftwork.core.units import bytes_text, count_text, seconds_text
from graftwork.pipeline.run import RunResult

EXAMPLES = 5


def run_data(result: RunResult) -> dict[str, Any]:
    """A run's result as plain data."""
    return {
        "folder": str(result.folder),
        "adapter": str(result.adapter) if "train" in result.steps else None,
        "recipe_digest": result.recipe_digest,
        "steps": {name: {**done.summary, "seconds": done.seconds} for name, done in result.steps.items()},
    }


def show_run(console: Console, result: RunResult) -> None:
    """What a run did and what it brought."""
    if "train" in result.steps:
        show_places(console, result.steps["check"].summary)
    if "prepare" in result.steps:
        _show_data(console, result.steps["prepare"].summary)
    if "train" in result.steps:
        done = result.steps["train"]
        _show_trained(console, done.summary, done.seconds)
    if result.evaluation:
        _show_evaluation(console, result.evaluation)
    console.print(f"Everything lies in {result.folder}", markup=False)


def show_demo(console: Console, result: RunResult) -> None:
    """The demo's result, with examples and what to do next."""
    show_run(console, result)
    table = Table(title="Held-out questions, answered by both in one batch", title_justify="left")
    for name in ("question", "expected", "base", "adapter"):
        table.add_column(name, overflow="fold")
    for one in result.evaluation["examples"][:EXAMPLES]:
        table.add_row(*(escape(one[key]) for key in ("prompt", "expected", "base", "adapter")))
    console.print(table)
    recipe = result.folder / "recipe.yaml"
    console.print("\nNext:", markup=False)
    for command, why in (
        (f"graftwork chat {result.adapter}", "talk to base and adapter side by side"),
        (f"graftwork show {recipe}", "every setting that was in force"),
        (f"graftwork merge {result.adapter} merged", "one plain model, with proof that it computes the same"),
        (f"graftwork run {recipe} --out runs/mine --set adapter.rank=4", "the same with another rank"),
    ):
        console.print(f"  {command}\n      {why}", markup=False, soft_wrap=True)


def show_fields(console: Console, data: Mapping[str, Any]) -> None:
    """Names and values, a line each."""
    table = Table(show_header=False, box=None)
    for name, value in data.items():
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        table.add_row(name.replace("_", " "), escape(text))
    console.print(table)


def show_places(console: Console, places: Mapping[str, Any]) -> None:
    """What is trained and what is not, by role."""
    table = Table(title="What is trained", title_justify="left")
    for name, justify in (("role", "left"), ("layers", "right"), ("ranks", "left"), ("trained numbers", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for row in places["roles"]:
        ranks = ", ".join(f"{rank} x {count}" for rank, count in row["ranks"].items()) or "not trained"
        table.add_row(row["role"], str(row["num_layers"]), ranks, count_text(row["num_params"]))
    console.print(table)
    trained, whole = places["num_params"], places["num_base_params"]
    console.print(f"{count_text(trained)} trained numbers, {trained / whole:.2%} of the base's {count_text(whole)}")


def _show_data(console: Console, report: Mapping[str, Any]) -> None:
    table = _numbers("Data", "records", "tokens", "learned tokens", "median", "longest")
    for side in ("train", "evaluation"):
        told = report[side]
        numbers = (told[key] for key in ("num_records", "num_tokens", "num_targets", "median_tokens", "longest_tokens"))
        table.add_row(side, *(count_text(number) for number in numbers))
    console.print(table)


def _show_trained(console: Console, summary: Mapping[str, Any], seconds: float) -> None:
    memory = bytes_text(summary["peak_memory_bytes"])
    console.print(
        f"Trained {summary['num_steps']} steps in {seconds_text(seconds)}, peak memory {memory}.",
        soft_wrap=True,
    )
    console.print(f"Adapter {summary['adapter_digest'][:16]}; the base's tensors are unchanged.", soft_wrap=True)


def _show_evaluation(console: Console, told: Mapping[str, Any]) -> None:
    table = _numbers("On held-out records", "records", "base", "adapter", "difference")
    loss, exact = told["loss"], told["exact_answers"]
    table.add_row(
        "nats per token",
        count_text(loss["num_records"]),
        _within(loss["base"]),
        _within(loss["adapter"]),
        f"{loss['change_frac']:+.1%}",
    )
    table.add_row(
        "exact answers",
        count_text(exact["num_records"]),
        _share(exact["base"]),
        _share(exact["adapter"]),
        f"{100 * exact['gain']['mean']:+.1f} points",
    )
    console.print(table)
    console.print("+- and in brackets: 95 % intervals. Nats per token: the loss; lower is better.")


def _within(estimate: Mapping[str, Any]) -> str:
    return f"{estimate['mean']:.3f} +- {1.96 * estimate['stderr']:.3f}"


def _share(share: Mapping[str, Any]) -> str:
    low, high = share["interval"]
    return f"{100 * share['mean']:.1f} % ({100 * low:.0f}-{100 * high:.0f})"


def _numbers(title: str, *columns: str) -> Table:
    """A table with names in its first column and numbers in the others."""
    table = Table("", title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right")
    return table
