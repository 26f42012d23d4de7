"""`graftwork evaluate` and `graftwork compare`: finished adapters asked the same questions, and runs side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from graftwork.cli.evaluation_view import show_certificate, show_result
from graftwork.cli.reply import answer
from graftwork.core.digests import digest
from graftwork.core.spec import parse

Paths = Annotated[
    list[Path], typer.Argument(metavar="RUN-or-ADAPTER...", help="Runs, adapters, or tuned models.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def evaluate(
    paths: Paths,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Records to ask: a file, a folder, or hf:owner/name. [default: held out]"),
    ] = None,
    dimensions: Annotated[
        str, typer.Option("--dimensions", help="Names with commas between: accuracy,robustness,efficiency.")
    ] = "accuracy",
    base: Annotated[
        str | None, typer.Option("--base", help="Another name for the same base. [default: the one on the cards]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the result. [default: runs/evaluation-...]")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the evaluation: batch_tokens=4096. Repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Ask finished adapters and their base the same questions, all at once.

    Interrupted, the same command goes on where it was.
    """
    from graftwork.cli.threads import wait_as_the_machine_allows
    from graftwork.cli.watching import Terminal
    from graftwork.data.source_spec import SourceSpec
    from graftwork.evaluation.result import told
    from graftwork.evaluation.spec import EvaluationSpec
    from graftwork.pipeline.evaluation.several import Asked, evaluated

    wait_as_the_machine_allows()
    spec = parse(EvaluationSpec, _wanted(dimensions, settings or []))
    asked = Asked(
        paths=paths,
        spec=spec,
        out=out or Path("runs") / _named(paths, data, dimensions, settings or []),
        data=None if data is None else parse(SourceSpec, {"path": data}),
        base=base,
    )
    with Terminal(before="the first question") as terminal:
        found = evaluated(asked, device="cpu", watch=terminal)

    def view(console: Console) -> None:
        show_result(console, found.result)
        show_certificate(console, found.certificate)
        console.print(f"Everything lies in {asked.out}", markup=False)

    said = {"folder": str(asked.out), "result": told(found.result), "certificate": dict(found.certificate)}
    answer(said, view, as_json=json)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Evaluated runs; the others beside the first.", show_default=False),
    ],
    json: Json = False,
) -> None:
    """Evaluated runs side by side, with differences and intervals.

    They are compared on the items that all of them were asked.
    """
    from graftwork.evaluation.result import told
    from graftwork.pipeline.evaluation.compare import compared_runs

    result = compared_runs(runs)
    answer(told(result), lambda console: show_result(console, result), as_json=json)


def _wanted(dimensions: str, settings: Sequence[str]) -> Mapping[str, Any]:
    from graftwork.core.recipe import with_settings

    names = [name.strip() for name in dimensions.split(",") if name.strip()]
    whole: Mapping[str, Any] = with_settings({"dimensions": names}, list(settings))
    return whole


def _named(paths: Sequence[Path], data: str | None, dimensions: str, settings: Sequence[str]) -> str:
    """Of the same request always the same folder, so that it goes on where it was."""
    told = [[str(path.resolve()) for path in paths], data, dimensions, list(settings)]
    return f"evaluation-{digest(told)[:8]}"
