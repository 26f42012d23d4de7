"""The files that a recipe's evaluation names: where they are in it, and what they hold. No torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graftwork.core.digests import digest_of_file
from graftwork.core.spec import plain
from graftwork.evaluation.dimension import DIMENSIONS
from graftwork.evaluation.spec import EvaluationSpec

Changed = Callable[[str, str], str]


def evaluation_with_paths(evaluation: Mapping[str, Any], changed: Changed) -> dict[str, Any]:
    """The mapping of an evaluation with `changed(where, path)` for every path in it."""
    told = dict(evaluation)
    if isinstance(general := told.get("general"), dict) and isinstance(general.get("path"), str):
        told["general"] = {**general, "path": changed("evaluation.general.path", general["path"])}
    if isinstance(asked := told.get("dimensions"), list | tuple):
        told["dimensions"] = [_with_paths(f"evaluation.dimensions[{i}]", one, changed) for i, one in enumerate(asked)]
    return told


def digests_of_files(spec: EvaluationSpec) -> dict[str, str]:
    """For each path that the dimensions of a read recipe name, what names the file's content."""
    found: dict[str, str] = {}

    def keep(where: str, path: str) -> str:
        found[where] = digest_of_file(Path(path))
        return path

    evaluation_with_paths({"dimensions": dict(plain(spec)).get("dimensions", [])}, keep)
    return found


def _with_paths(where: str, one: Any, changed: Changed) -> Any:
    """A dimension's settings; what is no mapping, or of no known kind, is refused where it is read."""
    if not isinstance(one, dict) or not isinstance(kind := one.get("kind"), str) or kind not in DIMENSIONS:
        return one
    told = dict(one)
    for key in DIMENSIONS[kind].paths:
        value = told.get(key)
        if isinstance(value, str):
            told[key] = changed(f"{where}.{key}", value)
        elif isinstance(value, list | tuple):
            told[key] = [changed(f"{where}.{key}[{i}]", v) if isinstance(v, str) else v for i, v in enumerate(value)]
    return told
