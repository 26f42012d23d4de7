"""`graftwork strategy`: no example, a few, tuned, side by side, and what follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from graftwork.cli.reply import answer
from graftwork.core.errors import Problem, SpecError
from graftwork.core.units import seconds_text

if TYPE_CHECKING:
    from collections.abc import Mapping


def strategy(
    recipe: Annotated[
        Path, typer.Argument(help="The recipe, a YAML file, or the folder of its run.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run. [default: runs/<recipe name>]")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe. Repeatable.")
    ] = None,
    records: Annotated[int, typer.Option("--records", min=2, help="Held-out records that are asked.")] = 100,
    shots: Annotated[str, typer.Option("--shots", help="Numbers of examples in the prompt, with commas.")] = "5,20",
    margin: Annotated[float, typer.Option("--margin", min=0, max=1, help="Differences below it do not matter.")] = 0.02,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Is training needed at all? Ask the base first.

    With no example, with a few in the prompt, and tuned, on the same held-out records.
    """
    from graftwork.cli.threads import wait_as_the_machine_allows
    from graftwork.cli.watching import Terminal
    from graftwork.pipeline.recipes import read_request
    from graftwork.pipeline.strategy.measure import Wish
    from graftwork.pipeline.strategy.measure import strategy as measure

    wish = Wish(num_records=records, shots=shots_of(shots), margin=margin)
    folder = recipe if recipe.is_dir() else None
    spec = read_request(recipe / "recipe.yaml" if folder else recipe, settings or [])
    wait_as_the_machine_allows()
    with Terminal() as terminal:
        data = measure(spec, out=out or folder, wish=wish, watch=terminal)
    answer(data, lambda console: show_strategy(console, data), as_json=json)


def shots_of(text: str) -> tuple[int, ...]:
    """Numbers of examples, in order.

    >>> shots_of("20, 5")
    (5, 20)
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if wrong := [word for word in words if not word.isdecimal() or not 1 <= int(word) <= MOST_SHOTS]:
        expected = f"whole numbers from 1 to {MOST_SHOTS}, with commas"
        raise SpecError([Problem("--shots", wrong[0], expected, "5,20 is usual.")])
    return tuple(sorted({int(word) for word in words}))


MOST_SHOTS = 200
"""Examples in a prompt at most; few contexts hold more."""


def show_strategy(console: Console, data: Mapping[str, Any]) -> None:
    """A row a level, what each step buys, and the advice."""
    table = Table(title=f"{data['num_records']} held-out records", title_justify="left")
    table.add_column("")
    names = {"exact": "exact answers", "choice": "likeliest choice", "bits_per_byte": "bits per byte"}
    shown = [name for name in names if name in data["levels"][0]]
    for name in (*(names[name] for name in shown), "prompt tokens"):
        table.add_column(name, justify="right")
    for level in data["levels"]:
        table.add_row(level["name"], *(_interval(level[name]) for name in shown), f"{level['prompt_tokens']:,.0f}")
    console.print(table)
    fewest = [level for level in data["levels"] if level["kind"] == "few-shot"]
    for level in fewest:
        if level["fewest_examples"] < int(level["name"].split()[0]):
            console.print(
                f"{level['name']}: the context had room for {level['fewest_examples']} at least", markup=False
            )
    for step in data["advice"]["steps"]:
        gain = f"{step['difference']:+.3f} ({step['low']:+.3f} to {step['high']:+.3f})"
        tokens = f"{step['more_tokens']:+,.0f} tokens a request"
        console.print(f"{step['name']} over {step['over']}: {gain}, {tokens}", markup=False)
    if data["training"] and not data["untuned_because"]:
        told = f"{data['training']['num_params']:,} trained numbers, {seconds_text(data['training']['seconds'])}"
        console.print(f"tuned cost, once: {told}", markup=False)
    if data["passed_over"]:
        console.print(f"{data['passed_over']} held-out records cannot be asked and were passed over", markup=False)
    console.print(f"[bold]{data['advice']['verdict']}[/bold]")
    console.print("\n".join([data["advice"]["text"], *data["advice"]["reasons"]]), markup=False)


def _interval(told: Mapping[str, float]) -> str:
    return f"{told['mean']:.3f} ({told['low']:.3f} to {told['high']:.3f})"
