"""From a recipe file to a frozen request: preset under it, settings over it, all problems at once. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.core.recipe import mapping_of, overlaid, read_recipe, text_of, with_settings
from graftwork.core.spec import parse, plain
from graftwork.pipeline.spec import PresetName, RunSpec

HEADER = (
    "# The effective recipe: every value that holds, preset included. Feed it back and the same run is asked for.\n"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A run as asked for.

    Attributes:
        near: the recipe's folder; where its relative paths are looked for first.
    """

    spec: RunSpec
    near: Path


def read_request(path: Path, settings: Sequence[str] = ()) -> Request:
    """The request in the recipe at `path`, with each `key=value` of `settings` over it.

    Raises:
        NotFoundError: no such file.
        SpecError: everything that is wrong with it.
    """
    return Request(requested(with_settings(read_recipe(path), settings)), path.resolve().parent)


def requested(raw: Mapping[str, Any]) -> RunSpec:
    """The spec of a recipe's mapping, its preset's values where it says nothing.

    Raises:
        SpecError: everything that is wrong with it, an unknown preset too.
    """
    name = raw.get("preset", "no-regret")
    if name not in get_args(PresetName):
        hint = did_you_mean(str(name), get_args(PresetName))
        unknown = [Problem("preset", name, f"one of {', '.join(get_args(PresetName))}", hint)]
        raise SpecError([*unknown, *_problems({**overlaid(preset("no-regret"), raw), "preset": "no-regret"})])
    return parse(RunSpec, overlaid({**preset(name), "preset": name}, raw))


def preset(name: str) -> dict[str, Any]:
    """The values that a preset gives."""
    return mapping_of((files("graftwork.pipeline") / "presets" / f"{name}.yaml").read_text("utf-8"), f"preset {name}")


def effective_text(spec: RunSpec) -> str:
    """The resolved recipe as YAML; read back, it asks for the same run."""
    return HEADER + text_of(plain(spec))


def find_file(asked: str, near: Path) -> Path:
    """A file that a recipe names: beside the recipe, or from the current folder.

    Raises:
        NotFoundError: at neither place.
        SpecError: at both, and they are not the same file.
    """
    path = Path(asked).expanduser()
    places = list(dict.fromkeys(p.resolve() for p in (near / path, Path.cwd() / path)))
    found = [p for p in places if p.is_file()]
    if len(found) > 1:
        where = " and ".join(map(str, found))
        raise SpecError([Problem("data", asked, "one file", f"There are {where}; give the whole path.")])
    if not found:
        beside = [p.name for place in places if place.parent.is_dir() for p in place.parent.iterdir()]
        near_name = did_you_mean(path.name, beside)
        raise NotFoundError(f"no data file {asked!r}: looked at {' and '.join(map(str, places))}. {near_name}".strip())
    return found[0]


def _problems(raw: Mapping[str, Any]) -> Sequence[Problem]:
    try:
        parse(RunSpec, raw)
    except SpecError as error:
        return error.problems
    return ()
