"""`graftwork demo`: the shipped recipe on the shipped data."""

from importlib.resources import as_file, files
from pathlib import Path

from graftwork.cli.watching import watched_run
from graftwork.pipeline.run import RunResult

SHORT = ("training.steps=4", "training.batch_size=4", "evaluation.answers=6", "data.evaluation.most=12")


def demonstrate(out: Path, *, short: bool) -> RunResult:
    """Run the shipped recipe; `short` for a few steps only."""
    with as_file(files("graftwork.pipeline") / "demo") as folder:
        return watched_run(folder / "recipe.yaml", out, SHORT if short else (), "evaluate")
