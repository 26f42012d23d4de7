"""A server's settings: read from a file, paths made whole, and what a way of serving does not use refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graftwork.core.errors import Problem, SpecError
from graftwork.core.recipe import read_recipe
from graftwork.core.spec import parse
from graftwork.serving.operations.spec import ReceiptsSpec
from graftwork.serving.spec import ServeSpec
from graftwork.serving.vllm.spec import VllmSpec

PATHS = (("guard",), ("models", "cache"), ("receipts", "folder"), ("receipts", "key"), ("logs", "destination"))
"""Keys that hold paths; relative ones are from the folder of the settings."""

NO_PATHS = {("logs", "destination"): "stderr"}


def read_settings(path: Path | None, over: Mapping[str, Any]) -> ServeSpec:
    """The settings in a file, or the defaults, with what `over` has that is not None over them.

    Raises:
        NotFoundError: there is no such file.
        SpecError: all that is wrong with it.
    """
    raw = read_recipe(path) if path else {}
    near = path.resolve().parent if path else Path.cwd()
    for keys in PATHS:
        raw = _whole(raw, keys, near)
    if isinstance(base := raw.get("base"), str) and (near / base).is_dir():
        raw = {**raw, "base": str(near / base)}
    told = {name: value for name, value in over.items() if value is not None}
    if "engine" in told and isinstance(asked := raw.get("engine"), Mapping):
        told["engine"] = {**asked, "kind": told["engine"]}  # its settings are refused where they are another engine's
    return parse(ServeSpec, {**raw, **told})


def refuse_unused(spec: ServeSpec) -> None:
    """Raise SpecError for settings that change nothing, or cannot be met, where adapters come from folders."""
    problems = []
    if isinstance(spec.engine, VllmSpec):
        hint = "Put them into a registry and serve that: graftwork serve --registry FOLDER --engine vllm"
        problems.append(Problem("engine.kind", "vllm", "graftwork, for adapters from folders", hint))
    if "models" in spec.model_fields_set:
        hint = "Adapters from folders are all in memory from the start. Serve a --registry, or leave it out."
        problems.append(Problem("models", "given", "nothing beside adapters from folders", hint))
    if isinstance(spec.receipts, ReceiptsSpec) and spec.receipts.key and not spec.receipts.folder:
        hint = "Without a registry receipts are kept only in a folder that is named."
        problems.append(Problem("receipts.key", spec.receipts.key, "receipts.folder beside it", hint))
    if problems:
        raise SpecError(problems)


def _whole(raw: Mapping[str, Any], keys: tuple[str, ...], near: Path) -> dict[str, Any]:
    """With a whole path under `keys`, if there is text; whatever else is there stays for the reader to refuse."""
    key, *rest = keys
    value = raw.get(key)
    if rest and isinstance(value, Mapping):
        return {**raw, key: _whole(value, tuple(rest), near)}
    if rest or not isinstance(value, str) or not value or value == NO_PATHS.get(("logs", key)):
        return dict(raw)
    return {**raw, key: str(near / value)}
