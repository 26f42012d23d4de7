"""`graftwork registry init, add, list, show, export, import`: versions."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graftwork.cli.registering.opening import (
    DEFAULT,
    Json,
    Place,
    VersionText,
    at_hand,
    local,
    refuse_without_packages,
    seen,
    version_named,
)
from graftwork.cli.registering.views import NONE, moment_text, short, show_table, show_version, version_data
from graftwork.cli.reply import answer

KeyFile = Annotated[Path | None, typer.Option("--key", help="File with a private key, to sign with.")]


def init(
    registry: Place = DEFAULT,
    database: Annotated[str, typer.Option("--database", help="sqlite, or postgresql://user@host/database.")] = "sqlite",
    blobs: Annotated[str, typer.Option("--blobs", help="folder, or an address such as s3://bucket/path.")] = "folder",
    json: Json = False,
) -> None:
    """Make a registry, or bring one up to date."""
    refuse_without_packages()
    from graftwork.core.spec import parse
    from graftwork.registry.place import PlaceSpec, make

    is_new = make(registry, parse(PlaceSpec, {"database": database, "blobs": blobs}), local())
    said = f"The registry is {registry}." if is_new else f"The registry {registry} is up to date."
    answer({"registry": str(registry), "changed": is_new}, lambda console: console.print(said), as_json=json)


def add(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", help="Also make it the candidate of this name.")] = None,
    key: KeyFile = None,
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Put a run in as a version.

    Refused if anything in its folder is not as the run recorded.
    """
    from graftwork.pipeline.registering import register
    from graftwork.registry import naming
    from graftwork.registry.signing.keys import read_private_key
    from graftwork.registry.stages import refuse_bad_name

    if name is not None:
        refuse_bad_name(name)
    with at_hand(registry) as (found, who):
        added = register(found, who, run, key=read_private_key(key) if key else None)
        if name is not None:
            before = seen(found, who, name, "candidate", None)
            if before != added.version:
                naming.nominate(found, who, name, added.version, expected=before)
    data = {"version": added.version, "name": name, "notes": list(added.notes)}
    lines = [f"Version {added.version}", *added.notes]
    if name is not None:
        lines.append(f"It is the candidate of {name}.")
    answer(data, lambda console: console.print("\n".join(lines), markup=False), as_json=json)


def list_versions(registry: Place = DEFAULT, json: Json = False) -> None:
    """Names and versions."""
    from graftwork.registry import naming, versions

    with at_hand(registry) as (found, who):
        named, kept = naming.names(found, who), versions.all_versions(found, who)
    pointing = {digest: f"{name} ({stage})" for name, at in named.items() for stage, digest in at.items()}
    data = {"names": named, "versions": [version_data(version) for version in kept]}
    names = [
        (name, *(short(at.get(stage)) for stage in ("candidate", "canary", "production"))) for name, at in named.items()
    ]
    rows = [
        (
            short(version.digest),
            version.manifest.base.ref,
            moment_text(version.added_us),
            version.trainer,
            "yes" if version.envelope else "no",
            "given up" if version.collected_us else pointing.get(version.digest, NONE),
        )
        for version in kept
    ]

    def view(console: Console) -> None:
        show_table(console, "Names", ("name", "candidate", "canary", "production"), names)
        show_table(console, "Versions", ("version", "base", "put in", "by", "signed", "where"), rows)

    answer(data, view, as_json=json)


def show(version: VersionText, registry: Place = DEFAULT, json: Json = False) -> None:
    """Where a version comes from, and what it holds."""
    from graftwork.registry import naming, versions

    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        stages = {
            name: [stage for stage, one in at.items() if one == digest]
            for name, at in naming.names(found, who).items()
            if digest in at.values()
        }
        data = version_data(versions.get(found, who, digest), stages)
    answer(data, lambda console: show_version(console, data), as_json=json)


def export_version(
    version: VersionText,
    out: Annotated[Path, typer.Argument(help="New file.", show_default=False)],
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Write a version to one file, to carry it elsewhere."""
    from graftwork.registry import exchange

    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        exchange.export_version(found, who, digest, out)
    data = {"version": digest, "file": str(out)}
    answer(data, lambda console: console.print(f"Version {short(digest)} is in {out}.", markup=False), as_json=json)


def import_version(
    file: Annotated[Path, typer.Argument(help="A file that export wrote.", show_default=False)],
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Also without a signature of a trusted key.")] = False,
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Put in a version from a file, checked in full."""
    from graftwork.registry import exchange

    with at_hand(registry) as (found, who):
        digest = exchange.import_version(found, who, file, signed=not unsigned)
    answer({"version": digest}, lambda console: console.print(f"Version {digest}"), as_json=json)
