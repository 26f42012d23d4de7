"""A version made again from its record: its recipe run with as many threads, and what came out held against it.

The records themselves are not in the registry, only their digests: the recipe must still find its data and its base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graftwork.core.errors import ConflictError, Problem, SpecError
from graftwork.core.files import write_bytes
from graftwork.core.spec import plain
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.registering import RECIPE, manifest_of
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Watch
from graftwork.registry.access.roles import Principal
from graftwork.registry.manifest import Manifest
from graftwork.registry.state import Registry
from graftwork.registry.versions import get, read_file

HELD_EQUAL = ("kind", "recipe", "base", "data", "on", "seed", "num_steps", "content")
"""What both must have the same, in the order in which one follows from the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduced:
    """What came out.

    Attributes:
        content: digest of what was trained now.
        differences: where it is another, as "field: recorded, now"; nothing when it is the same.
        versions: libraries that are other ones now, as "name: recorded, now".
    """

    version: str
    content: str
    differences: tuple[str, ...]
    versions: tuple[str, ...]


def reproduce(registry: Registry, who: Principal, digest: str, *, out: Path, watch: Watch | None = None) -> Reproduced:
    """Train a version again in the folder `out`, from its record alone.

    Raises:
        ConflictError: its files were given up.
        SpecError: its data, or its base, is not where its recipe says; or its threads are not on record.
        Interrupted: asked to stop; the same call goes on from there.
    """
    version = get(registry, who, digest)
    recorded = version.manifest
    if version.collected_us is not None:
        raise ConflictError(f"the files of {digest[:12]} were given up. Add its run again.")
    threads = recorded.environment.get("threads")
    if type(threads) is not int or threads < 1:
        raise SpecError([Problem("threads", threads, "the number of threads that it was trained with")])
    recipe = b"".join(read_file(registry, who, digest, RECIPE))
    with TemporaryDirectory() as folder:
        write_bytes(Path(folder) / RECIPE, recipe)
        _trained(Path(folder) / RECIPE, out, threads, watch)
    with RunFolder(out) as made:
        now, _ = manifest_of(made)
    return Reproduced(
        version=digest,
        content=now.content,
        differences=_differences(_equal_parts(recorded), _equal_parts(now)),
        versions=_differences(recorded.versions, now.versions),
    )


def _trained(recipe: Path, out: Path, threads: int, watch: Watch | None) -> None:
    from graftwork.pipeline.computing import computed_with  # it loads torch

    if out.exists() and not out.is_dir():
        raise ConflictError(f"{out} is a file. Give a folder.")
    with computed_with(threads):
        run(recipe, out=out, until="train", watch=watch)


def _equal_parts(manifest: Manifest) -> dict[str, Any]:
    told = dict(plain(manifest))
    return {name: told[name] for name in HELD_EQUAL}


def _differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    names = dict.fromkeys((*recorded, *now))
    return tuple(
        f"{name}: {recorded.get(name)} on record, {now.get(name)} now"
        for name in names
        if recorded.get(name) != now.get(name)
    )
