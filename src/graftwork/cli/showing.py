"""`graftwork show`: the effective recipe, its schema, and what it would train."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console

from graftwork.cli import views
from graftwork.cli.reply import View
from graftwork.core.digests import digest
from graftwork.core.spec import plain
from graftwork.pipeline.recipes import Request, effective_text, read_request
from graftwork.pipeline.spec import RunSpec


def schema_text() -> str:
    """The JSON schema of recipes, as published in `schemas/run.schema.json`.

    A preset fills what a recipe leaves out, so only a few keys are required of a recipe's author.
    """
    told = RunSpec.model_json_schema()
    told["required"] = [key for key in told["required"] if key != "adapter"]
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def schema() -> None:
    """Print the schema."""
    sys.stdout.write(schema_text())


def recipe(path: Path, settings: Sequence[str], *, with_places: bool) -> tuple[dict[str, Any], View]:
    """The effective recipe as data and for people."""
    request = read_request(path, settings)
    data: dict[str, Any] = {"digest": digest(request.spec), "recipe": plain(request.spec)}
    if with_places:
        data["places"] = _places(request)

    def view(console: Console) -> None:
        sys.stdout.write(effective_text(request.spec))
        console.print(f"# digest {data['digest']}")
        if with_places:
            views.show_places(console, data["places"])

    return data, view


def _places(request: Request) -> dict[str, Any]:
    from graftwork.adapters.adapter import places_of
    from graftwork.base.load import facts_from_config
    from graftwork.base.locate import locate

    facts = facts_from_config(locate(request.spec.base, near=request.near))
    asked = places_of(request.spec.adapter, facts)
    sizes = {
        name: sum(prod(shape) for shape in method.shapes(spec, place).values())
        for name, (place, method, spec) in asked.items()
    }
    roles = []
    for role in dict.fromkeys(place.role for place in facts.places):
        here = [place.name for place in facts.places if place.role == role]
        ranks = Counter(getattr(asked[name][2], "rank", None) for name in here if name in asked)
        roles.append(
            {
                "role": role,
                "num_layers": len(here),
                "ranks": dict(sorted(ranks.items())),
                "num_params": sum(sizes.get(name, 0) for name in here),
            }
        )
    return {"roles": roles, "num_params": sum(sizes.values()), "num_base_params": facts.num_params}
