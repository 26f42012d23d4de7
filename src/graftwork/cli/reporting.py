"""`graftwork report`: the report on an evaluation and the model card, written again, in the language asked for."""

from pathlib import Path
from typing import Annotated

import typer

from graftwork.cli import views
from graftwork.cli.reply import answer
from graftwork.core.errors import Problem, SpecError, did_you_mean

LANGUAGES = ("en", "zh")


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, or of an evaluation.", show_default=False)],
    language: Annotated[str, typer.Option("--language", help="en or zh; the page has both and opens in this.")] = "en",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for both files. [default: the run's, the card by the adapter]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Write the evaluation report and the model card.

    A page of HTML that needs nothing else, and a README.md beside the adapter. Every run writes them, too.
    """
    from graftwork.pipeline.reporting import write_report

    if language not in LANGUAGES:
        known = f"one of {', '.join(LANGUAGES)}"
        raise SpecError([Problem("--language", language, known, did_you_mean(language, LANGUAGES))])
    written = write_report(folder, language="zh" if language == "zh" else "en", out=out)
    data: dict[str, str | None] = {
        "report": str(written.page),
        "card": None if written.card is None else str(written.card),
        "certificate": written.certified.status,
    }
    if written.certified.reasons:
        data["certificate"] = f"{written.certified.status}: {'; '.join(written.certified.reasons)}"
    answer(data, lambda console: views.show_fields(console, data), as_json=json)
