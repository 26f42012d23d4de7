"""From a recipe file to a frozen request: preset under it, settings over it, all problems at once. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from graftwork.base.bundled import BUNDLED
from graftwork.base.locate import PREFIX
from graftwork.core.digests import digest
from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.core.recipe import mapping_of, overlaid, read_recipe, text_of, with_settings
from graftwork.core.spec import parse, plain, plain_data
from graftwork.data.source_spec import HUB
from graftwork.pipeline.evaluation_paths import evaluation_with_paths
from graftwork.pipeline.spec import PresetName, RunSpec
from graftwork.pipeline.stage_spec import as_written, is_staged, unused, whole_stages

HEADER = (
    "# The effective recipe: every value that holds, preset included. Feed it back and the same run is asked for.\n"
)


def read_request(path: Path, settings: Sequence[str] = ()) -> RunSpec:
    """The request in the recipe at `path`, with each `key=value` of `settings` over it and all paths whole.

    Raises:
        NotFoundError: no such recipe.
        SpecError: everything that is wrong with it, data files that are not there too.
    """
    raw, problems = grounded(with_settings(read_recipe(path), settings), path.resolve().parent)
    try:
        spec = requested(raw)
    except SpecError as error:
        raise SpecError([*error.problems, *problems]) from error
    if problems:
        raise SpecError(problems)
    return spec


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
    whole = overlaid({**preset(name), "preset": name}, raw)
    problems = _borrowed_rate(raw, whole)
    if is_staged(raw):
        problems += unused(raw)
        whole = whole_stages(whole)
    try:
        spec = parse(RunSpec, whole)
    except SpecError as error:
        told = as_written(error.problems, raw) if is_staged(raw) else error.problems
        raise SpecError([*told, *problems]) from error
    if problems:
        raise SpecError(problems)
    return spec


def _borrowed_rate(raw: Mapping[str, Any], whole: Mapping[str, Any]) -> list[Problem]:
    """Full tuning at a rate that a preset gives for adapters: about ten times too high for it."""
    tuned, training = raw.get("adapter"), raw.get("training", {})
    if not (isinstance(tuned, Mapping) and tuned.get("method") == "full" and isinstance(training, Mapping)):
        return []
    if "learning_rate" in training:
        return []
    rate = whole["training"]["learning_rate"]
    hint = "The preset's is for adapters, ten times too high for all weights. 1e-5 to 1e-4 are usual."
    return [Problem("training.learning_rate", rate, "a rate of the recipe's own with adapter.method: full", hint)]


def preset(name: str) -> dict[str, Any]:
    """The values that a preset gives."""
    return mapping_of((files("graftwork.pipeline") / "presets" / f"{name}.yaml").read_text("utf-8"), f"preset {name}")


def effective_text(spec: RunSpec) -> str:
    """The resolved recipe as YAML; read back, it asks for the same run."""
    return HEADER + text_of(plain(spec))


def recipe_digest(spec: RunSpec) -> str:
    """Names the request; of a path it takes the last part alone, so it is the same on any machine."""
    return digest(with_paths(dict(plain(spec)), lambda _, path: Path(path).name if Path(path).is_absolute() else path))


def grounded(raw: Mapping[str, Any], near: Path) -> tuple[dict[str, Any], list[Problem]]:
    """A recipe's mapping with whole paths for relative ones, and a problem for each data file that is not there.

    Args:
        near: the recipe's folder; where relative paths are looked for first.
    """
    problems: list[Problem] = []

    def found(where: str, asked: str) -> str:
        if not asked or asked.startswith(HUB):
            return asked
        try:
            return _base(asked, near) if where == "base" else str(find_file(asked, near))
        except SpecError as error:
            problems.extend(replace(p, path=where) for p in error.problems)
        except NotFoundError as error:
            expected = "the folder of a run or of an adapter" if where == "on" else "a file that is there"
            problems.append(Problem(where, asked, expected, str(error)))
        return asked

    return with_paths(plain_data(raw), found), problems


def with_paths(whole: Mapping[str, Any], changed: Callable[[str, str], str]) -> dict[str, Any]:
    """A recipe's mapping with `changed(where, path)` for everything in it that may be a path.

    Their whole paths are in the effective recipe and not in its digest.
    """
    named = {key: changed(key, whole[key]) for key in ("base", "on") if isinstance(whole.get(key), str)}
    told = {**whole, **named}
    if "data" in whole:
        told["data"] = _data_with_paths("data", whole["data"], changed)
    if isinstance(evaluation := whole.get("evaluation"), dict):
        told["evaluation"] = evaluation_with_paths(evaluation, changed)
    if is_staged(whole):
        told["stages"] = [
            {**stage, "data": _data_with_paths(f"stages[{i}].data", stage["data"], changed)}
            if isinstance(stage, dict) and "data" in stage
            else stage
            for i, stage in enumerate(whole["stages"])
        ]
    return told


def _data_with_paths(where: str, data: Any, changed: Callable[[str, str], str]) -> Any:
    if not isinstance(data, dict):
        return data
    told = dict(data)
    for key in ("train", "evaluation"):
        if key in data:
            told[key] = _with_paths(f"{where}.{key}", data[key], changed)
    privacy = data.get("privacy")
    if isinstance(privacy, dict) and isinstance(privacy.get("key_file"), str):
        told["privacy"] = {**privacy, "key_file": changed(f"{where}.privacy.key_file", privacy["key_file"])}
    return told


def _with_paths(where: str, source: Any, changed: Callable[[str, str], str]) -> Any:
    if isinstance(source, str):
        return changed(where, source)
    if isinstance(source, list):
        return [_with_paths(f"{where}[{i}]", one, changed) for i, one in enumerate(source)]
    if isinstance(source, dict) and isinstance(source.get("path"), str):
        return {**source, "path": changed(f"{where}.path", source["path"])}
    return source


def _base(asked: str, near: Path) -> str:
    """A base that is a folder, beside the recipe or from the current folder, as a whole path; else as it is."""
    folders = [place for place in _places(asked, near) if place.is_dir()]
    if len(folders) > 1:
        hint = f"There are {' and '.join(map(str, folders))}; give the whole path."
        raise SpecError([Problem("base", asked, "one folder", hint)])
    if not folders and not asked.startswith(PREFIX) and asked.partition("@")[0].count("/") != 1:
        known = [f"{PREFIX}{name}" for name in BUNDLED]
        hint = f"{did_you_mean(asked, known)} Bundled ones: {', '.join(known)}.".strip()
        raise SpecError([Problem("base", asked, "a folder that is there, or a Hugging Face id (owner/name)", hint)])
    return str(folders[0]) if folders else asked


def _places(asked: str, near: Path) -> list[Path]:
    """Where a path may lie: beside the recipe, and from the current folder.

    Raises:
        SpecError: no file can have this name.
    """
    try:
        path = Path(asked).expanduser()
        places = list(dict.fromkeys(p.resolve() for p in (near / path, Path.cwd() / path)))
        for place in places:
            place.exists()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null byte, an unknown ~user
        reason = error.strerror if isinstance(error, OSError) else error
        raise SpecError([Problem("path", asked, "a path that can be", str(reason))]) from error
    return places


def find_file(asked: str, near: Path) -> Path:
    """A file or folder of data that a recipe names: beside the recipe, or from the current folder.

    Raises:
        NotFoundError: at neither place.
        SpecError: at both, and they are not the same file.
    """
    places = _places(asked, near)
    found = [p for p in places if p.exists()]
    if len(found) > 1:
        where = " and ".join(map(str, found))
        raise SpecError([Problem("data", asked, "one file", f"There are {where}; give the whole path.")])
    if not found:
        beside = [p.name for place in places if place.parent.is_dir() for p in place.parent.iterdir()]
        near_name = did_you_mean(Path(asked).name, beside)
        raise NotFoundError(f"Looked at {' and '.join(map(str, places))}. {near_name}".strip())
    return found[0]


def _problems(raw: Mapping[str, Any]) -> Sequence[Problem]:
    try:
        parse(RunSpec, raw)
    except SpecError as error:
        return error.problems
    return ()
