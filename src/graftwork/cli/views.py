"""Results for people: plain tables and the next thing to do. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graftwork.core.units import bytes_text, count_text, seconds_text

if TYPE_CHECKING:
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
        _show_data(console, result.steps["prepare"].summary, result.folder)
    _show_stages(console, result)
    if "train" in result.steps:
        done = result.steps["train"]
        _show_trained(console, done.summary, done.seconds)
    if baseline := result.steps.get("baseline"):
        _show_baseline(console, baseline.summary, baseline.seconds)
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


def _show_data(console: Console, report: Mapping[str, Any], folder: Path) -> None:
    table = _numbers("Data", "records", "rows", "tokens", "learned tokens", "median", "longest")
    keys = ("num_records", "num_rows", "num_tokens", "num_targets", "median_tokens", "longest_tokens")
    for side in ("train", "evaluation"):
        table.add_row(side, *(count_text(report[side][key]) for key in keys))
    console.print(table)
    _show_flow(console, report)
    if personal := report["personal_data"]["kinds"]:
        kinds = ", ".join(f"{kind} {count_text(count)}" for kind, count in personal.items())
        num, mode = count_text(report["personal_data"]["num_records"]), report["personal_data"]["mode"]
        console.print(f"Personal data in {num} records ({mode}): {kinds}", markup=False, soft_wrap=True)
    if report["flow"][-1]["out"] < report["num_rows"]:
        console.print(f"Kept back, with reasons: {folder / 'data' / 'quarantine.jsonl'}", markup=False, soft_wrap=True)
    console.print(f"Report: {folder / 'data' / 'report.html'}", markup=False, soft_wrap=True)


def _show_flow(console: Console, report: Mapping[str, Any]) -> None:
    """What became of every row, step by step; steps at which nothing happened are left out."""
    told = [step for step in report["flow"] if step["repaired"] or step["quarantined"]]
    if not told:
        console.print(f"All {count_text(report['num_rows'])} rows could be used as they are.", markup=False)
        return
    table = Table("step", title=f"What became of {count_text(report['num_rows'])} rows", title_justify="left")
    for name, justify in (("in", "right"), ("repaired", "left"), ("kept back", "left"), ("out", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for step in told:
        whys = (
            "\n".join(f"{count_text(n)} {why}" for why, n in step[key].items()) for key in ("repaired", "quarantined")
        )
        table.add_row(step["step"], count_text(step["in"]), *map(escape, whys), count_text(step["out"]))
    console.print(table)


def _show_stages(console: Console, result: RunResult) -> None:
    """The stages before the last, a line each."""
    for name, done in result.steps.items():
        stage, _, step = name.removeprefix("stages/").partition("/")
        if step == "train":
            rows = result.steps[name.replace("/train", "/prepare")].summary["train"]["num_rows"]
            told = f"{done.summary['num_steps']} steps on {count_text(rows)} rows in {seconds_text(done.seconds)}"
            digest = done.summary["adapter_digest"][:16]
            console.print(f"Stage {stage}: {told}; it left the adapter {digest}.", markup=False, soft_wrap=True)


def _show_trained(console: Console, summary: Mapping[str, Any], seconds: float) -> None:
    memory = bytes_text(summary["peak_memory_bytes"])
    console.print(
        f"Trained {summary['num_steps']} steps in {seconds_text(seconds)}, peak memory {memory}.",
        soft_wrap=True,
    )
    if "model_digest" in summary:
        told = f"Model {summary['model_digest'][:16]}, tuned on a copy; the base's files are unchanged."
    else:
        told = f"Adapter {summary['adapter_digest'][:16]}; the base's tensors are unchanged."
    console.print(told, soft_wrap=True)
    if updates := summary.get("updates"):
        console.print(
            f"Largest singular value of the updates: {updates['largest_update']:.3g} at {updates['largest_update_at']},"
            f" median {updates['median_update']:.3g}; median stable rank {updates['median_stable_rank']:.1f}.",
            markup=False,
            soft_wrap=True,
        )


def _show_baseline(console: Console, summary: Mapping[str, Any], seconds: float) -> None:
    tried = ", ".join(f"{one['rate']:g}: {one['loss_nats']:.3f}" for one in summary["tried"])
    chosen = f", chosen by the loss on {summary['choosing_records']} training records ({tried})" if tried else ""
    took = seconds_text(seconds)
    console.print(
        f"Full tuning for comparison at the rate {summary['rate']:g}{chosen}; {took} in all.",
        markup=False,
        soft_wrap=True,
    )


def _show_evaluation(console: Console, told: Mapping[str, Any]) -> None:
    table = _numbers("On held-out records", "records", "base", "adapter", "difference")
    loss, exact = told["loss"], told.get("exact_answers")
    table.add_row(
        "nats per token",
        count_text(loss["num_records"]),
        _within(loss["base"]),
        _within(loss["adapter"]),
        f"{loss['change_frac']:+.1%}",
    )
    if exact:
        table.add_row(
            "exact answers",
            count_text(exact["num_records"]),
            _share(exact["base"]),
            _share(exact["adapter"]),
            f"{100 * exact['gain']['mean']:+.1f} points",
        )
    console.print(table)
    if below := loss.get("below"):
        console.print(f"The adapter below alone: {_within(below)} nats per token.")
    for reason, num in told["passed_over"].items():
        console.print(f"{count_text(num)} held-out records were not answered: {reason}.", markup=False)
    console.print("+- and in brackets: 95 % intervals. Nats per token: the loss; lower is better.")
    if "result" in told:
        from graftwork.cli.evaluation_view import show_result
        from graftwork.evaluation.result import read

        show_result(console, read(told["result"]))


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
