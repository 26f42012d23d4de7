"""`graftwork canaries`: secrets to plant among training records, so that an evaluation can tell how many leak."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from graftwork.cli.reply import answer
from graftwork.core.errors import ConflictError

canaries_app = typer.Typer(
    name="canaries",
    help="Planted secrets: does what was trained give them away?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@canaries_app.callback()
def _canaries() -> None:
    """Planted secrets: does what was trained give them away?"""


@canaries_app.command()
def make(
    out: Annotated[Path, typer.Argument(help="New file, JSON lines.", show_default=False)],
    num: Annotated[int, typer.Option("--num", help="How many. 8 to 32 are usual.")] = 16,
    seed: Annotated[int, typer.Option("--seed", help="Other canaries, other secrets.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Write training records with random secrets in them.

    Half are e-mail addresses, which de-identification finds, and half are codes, which it does not know.
    """
    from graftwork.core.files import write_bytes
    from graftwork.evaluation.canaries import canary_line, drawn_canaries

    if out.exists():
        raise ConflictError(f"{out} is there already. Give another name.")
    made = drawn_canaries(num, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, b"".join(map(canary_line, made)))
    data = {"file": str(out), "num": len(made), "seed": seed, "ids": [one.id for one in made]}
    answer(data, lambda console: _show(console, data), as_json=json)


def _show(console: Console, data: dict[str, Any]) -> None:
    console.print(f"{data['num']} canaries in {data['file']}. In the recipe:")
    for line in (
        "data:",
        "  train:",
        "    - your.jsonl",
        f"    - {{path: {data['file']}, weight: 10}}   # each is seen ten times an epoch",
        "evaluation:",
        f"  dimensions: [{{kind: safety, canaries: {data['file']}}}]",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("Remove both, and train again, for what goes into use.")
