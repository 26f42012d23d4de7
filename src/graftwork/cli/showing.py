"""`graftwork show`: the effective recipe, its schema, and what it would train."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from graftwork.cli import views
from graftwork.cli.ranks_view import show_ranks
from graftwork.cli.reply import View
from graftwork.core.spec import plain
from graftwork.pipeline.check import rank_table, trainable
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.recipes import effective_text, read_request, recipe_digest
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work


def schema_text() -> str:
    """The JSON schema of recipes, as published in `schemas/run.schema.json`.

    A preset fills what a recipe leaves out, so only a few keys are required of a recipe's author.
    """
    told = RunSpec.model_json_schema()
    told["required"] = [key for key in told["required"] if key not in ("adapter", "data")]
    of_data, of_stage = told["$defs"]["DataSpec"], told["$defs"]["StageSpec"]
    del of_data["required"]  # with stages, what one needs may stand in it or in what all share
    of_stage["required"].remove("data")
    told["if"] = {"not": {"required": ["stages"]}}
    told["then"] = {"required": ["data"], "properties": {"data": {"required": ["train"]}}}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def schema() -> None:
    """Print the schema."""
    sys.stdout.write(schema_text())


def recipe(path: Path, settings: Sequence[str], *, with_places: bool, with_ranks: bool) -> tuple[dict[str, Any], View]:
    """The effective recipe as data and for people; people who ask for the ranks get no recipe before them."""
    spec = read_request(path, settings)
    data: dict[str, Any] = {"digest": recipe_digest(spec), "recipe": plain(spec)}
    if with_places:
        data["places"] = trainable(_unstarted(spec))
    if with_ranks:
        data["ranks"] = rank_table(_unstarted(spec))

    def view(console: Console) -> None:
        if not with_ranks:
            sys.stdout.write(effective_text(spec))
            console.print(f"# digest {data['digest']}")
        if with_places:
            views.show_places(console, data["places"])
        if with_ranks:
            show_ranks(console, data["ranks"])

    return data, view


def _unstarted(spec: RunSpec) -> Work:
    return Work(spec=spec, folder=RunFolder(Path()), watch=Quiet())
