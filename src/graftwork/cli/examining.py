"""`graftwork doctor`: what the checks found, as a table and in words; exit code 1 when one failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graftwork.cli.reply import answer
from graftwork.core.units import bytes_text, seconds_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftwork.pipeline.doctor.examine import Examination

STYLES = {"passed": "green", "warned": "yellow", "failed": "bold red", "does not apply": "dim"}
LEARNED = "bold green underline"


def doctor(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run. [default: runs/<recipe name>]")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe. Repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Examine a recipe before it is trained.

    What is trained and learned, gradients, data, memory and time; ends with 1 when a check failed.
    """
    from graftwork.cli.threads import wait_as_the_machine_allows
    from graftwork.cli.watching import Terminal
    from graftwork.pipeline.doctor.examine import doctor as examine
    from graftwork.pipeline.recipes import read_request

    wait_as_the_machine_allows()
    spec = read_request(recipe, settings or [])
    with Terminal() as terminal:

        def told(check: str, done: int, total: int) -> None:
            terminal.preparing(f"examining: {check}", done, total)

        made = examine(spec, out=out, watch=terminal, told=told)
    data = examination_data(made)
    answer(data, lambda console: show_examination(console, data), as_json=json)
    return 0 if made.is_well else 1


def examination_data(made: Examination) -> dict[str, Any]:
    """As plain data."""
    return {
        "is_well": made.is_well,
        "folder": str(made.folder),
        "is_passing": made.is_passing,
        "seconds": round(made.seconds, 1),
        "checks": [one.data for one in made.made],
    }


def show_examination(console: Console, data: Mapping[str, Any]) -> None:
    """Examples of what is learned, what is trained, and then every check."""
    for one in data["checks"]:
        if one["check"] == "targets":
            _show_targets(console, one["details"].get("examples", ()))
        if one["check"] == "trained" and one["details"].get("roles"):
            _show_roles(console, one["details"]["roles"])
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in data["checks"]:
        stage = f" (stage {one['stage']})" if one["stage"] else ""
        told = Text.assemble((one["asks"] + stage, "bold"), "\n", one["found"])
        if one["to_do"]:
            told.append(f"\nTo do: {one['to_do']}", STYLES[one["verdict"]])
        table.add_row(Text(one["verdict"], STYLES[one["verdict"]]), told)
    console.print(table)
    counts = {verdict: sum(one["verdict"] == verdict for one in data["checks"]) for verdict in STYLES}
    summed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    console.print(f"{summed}. {seconds_text(data['seconds'])}.", markup=False)
    if not data["is_passing"]:
        console.print(f"The data is prepared in {data['folder']}; a run goes on from it.", markup=False)


def _show_targets(console: Console, examples: Sequence[Mapping[str, Any]]) -> None:
    begin, end = ("", "") if console.color_system else ("[[", "]]")
    for example in examples:
        line = Text(f"{example['origin']}: ", "dim")
        for stretch in example["stretches"]:
            text = stretch["text"].replace("\n", "↵ ")
            line.append(f"{begin}{text}{end}" if stretch["learned"] else text, LEARNED if stretch["learned"] else "")
        console.print(line)
    if examples:
        console.print(Text.assemble("What is learned looks like ", (f"{begin}this{end}", LEARNED), ".\n"))


def _show_roles(console: Console, roles: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title="What is trained", title_justify="left")
    table.add_column("role")
    for name in ("tensors", "numbers", "in float32"):
        table.add_column(name, justify="right")
    for row in roles:
        tensors = row.get("num_tensors")
        cells = (
            f"{tensors:,}" if tensors is not None else "",
            f"{row['num_params']:,}",
            bytes_text(4 * row["num_params"]),
        )
        table.add_row(row["role"], *cells)
    console.print(table)
