"""`graftwork harness`: tasks of lm-evaluation-harness, base and adapter side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from graftwork.cli.reply import answer

if TYPE_CHECKING:
    from collections.abc import Mapping


def harness(
    adapter: Annotated[Path, typer.Argument(help="A run's folder, or an adapter's or a model's.", show_default=False)],
    tasks: Annotated[str, typer.Option("--tasks", help="Names of tasks, with commas.", show_default=False)],
    include: Annotated[Path | None, typer.Option("--include", help="Folder of further tasks, YAML files.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=2, help="Items of each task. [default: all]")] = None,
    shots: Annotated[int | None, typer.Option("--shots", min=0, help="Examples. [default: as the task has it]")] = None,
    as_chat: Annotated[bool, typer.Option("--chat", help="Write questions by the base's chat template.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Ask the tasks of lm-evaluation-harness.

    Base and adapter on the same items. Needs graftwork[lm-eval], and most tasks fetch their data.
    """
    from graftwork.cli.opening import open_trained
    from graftwork.cli.threads import wait_as_the_machine_allows
    from graftwork.core.files import write_json
    from graftwork.pipeline.folder import STATE
    from graftwork.pipeline.harness.evaluate import Tasks, refuse_absent
    from graftwork.pipeline.harness.evaluate import harness as evaluate

    refuse_absent()
    wait_as_the_machine_allows()
    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    asked = Tasks(names=names, folder=include, limit=limit, shots=shots, as_chat=as_chat)
    data = evaluate(open_trained(adapter, None, None).sides, asked, batch_size=BATCH_SIZE)
    if (adapter / STATE).is_file():
        write_json(adapter / "harness.json", data)
    answer(data, lambda console: show_harness(console, data), as_json=json)


BATCH_SIZE = 16
"""Rows of a forward pass."""


def show_harness(console: Console, data: Mapping[str, Any]) -> None:
    """A row a metric."""
    table = Table(title=data["harness"], title_justify="left")
    for name in ("task", "metric"):
        table.add_column(name)
    for name in ("base", "adapter", "difference"):
        table.add_column(name, justify="right")
    for task in data["tasks"]:
        for metric in task["metrics"]:
            told = metric.get("difference")
            half = 1.96 * told["stderr"] if told else 0.0
            apart = f"{told['mean']:+.3f} +- {half:.3f}" if told else ""
            title = f"{task['task']} ({task['num_items']})"
            table.add_row(title, metric["metric"], f"{metric['base']:.4f}", f"{metric['adapter']:.4f}", apart)
    console.print(table)
    if data["num_cut"]:
        console.print(f"{data['num_cut']} contexts had no room and were cut on the left", markup=False)
