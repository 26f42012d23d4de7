"""Recipes: YAML 1.2 text to plain mappings and back, presets under them, `--set` over them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.core.spec import plain_data

KIND_KEYS = ("kind", "method")
"""Keys that say which of several forms a mapping has; values of another form mean nothing in it."""


def read_recipe(path: Path) -> dict[str, Any]:
    """The mapping that a recipe file holds.

    Raises:
        NotFoundError: there is no such file; names the nearest beside it.
        SpecError: it is not UTF-8, not YAML 1.2, holds a key twice, or is no mapping; says the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as error:
        beside = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(f"no recipe at {path}. {did_you_mean(path.name, beside)}".strip()) from error
    except IsADirectoryError as error:
        raise SpecError([Problem("recipe", str(path), "a YAML file", "It is a folder.")]) from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem("recipe", str(path), "UTF-8 text", str(error))]) from error
    except (OSError, ValueError) as error:  # a name too long, a null byte in it, no permission
        reason = error.strerror if isinstance(error, OSError) else error
        raise SpecError([Problem("recipe", str(path), "a file that can be read", str(reason))]) from error
    return mapping_of(text, str(path))


def mapping_of(text: str, where: str) -> dict[str, Any]:
    """Decode recipe text; `where` names it in messages."""
    try:
        value = _yaml().load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        raise SpecError([Problem(f"{where} line {line}", str(error.problem), "each key once")]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise SpecError([Problem(f"{where}{line}", str(error.problem), "YAML 1.2")]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise SpecError([Problem(where, str(error)[:200], "YAML 1.2")]) from error
    if not isinstance(value, dict):
        raise SpecError([Problem(where, value, "a mapping of keys to values", "See recipes/ for examples.")])
    try:
        plain_data(value)
    except SpecError as error:
        raise SpecError(replace(p, path=where if p.path == "recipe" else p.path) for p in error.problems) from error
    return value


def text_of(mapping: Mapping[str, object]) -> str:
    """YAML text of plain data, keys in the order given; `mapping_of` reads it back."""
    out = StringIO()
    _yaml().dump(dict(mapping), out)
    text = out.getvalue()
    if _yaml().load(text) == mapping:
        return text
    return json.dumps(mapping, indent=2) + "\n"  # YAML too; for the few characters that YAML's own form would lose


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `under`, mapping by mapping.

    Where both name their form (`kind`, `method`) and differ, `over` replaces `under` whole.

    >>> overlaid({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    >>> overlaid({"s": {"kind": "cosine", "warmup_frac": 0.1}}, {"s": {"kind": "constant"}})
    {'s': {'kind': 'constant'}}
    """
    if any(key in under and key in over and under[key] != over[key] for key in KIND_KEYS):
        return dict(over)
    merged = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = overlaid(below, value)
        else:
            merged[key] = value
    return merged


def with_settings(mapping: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """`mapping` with each `path.to.key=value` of `settings` in its place; values are YAML.

    Raises:
        SpecError: a setting has no `=`, an empty path, or goes through a value that is no mapping.

    >>> with_settings({"adapter": {"rank": 8}}, ["adapter.rank=16"])
    {'adapter': {'rank': 16}}
    """
    result: dict[str, Any] = dict(mapping)
    problems = []
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            problems.append(Problem("--set", setting, "path.to.key=value", "For example adapter.rank=8."))
            continue
        try:
            value: Any = _yaml().load(text) if text.strip() else None
        except (YAMLError, ValueError, RecursionError):
            problems.append(Problem(f"--set {path}", text, "a YAML value"))
            continue
        if (above := _value_above(result, keys)) is not None:
            problems.append(Problem(f"--set {path}", above[1], f"a mapping at {above[0]}, to set a key of"))
            continue
        for key in reversed(keys):
            value = {key: value}
        result = overlaid(result, value)
    if problems:
        raise SpecError(problems)
    return result


def _value_above(mapping: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, object] | None:
    """The first value on the way to the last of `keys` that is no mapping, with its path; None when the way is free."""
    here: Any = mapping
    for depth, key in enumerate(keys[:-1], 1):
        here = here.get(key)
        if here is None:
            return None
        if not isinstance(here, Mapping):
            return ".".join(keys[:depth]), here
    return None


def _yaml() -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml
