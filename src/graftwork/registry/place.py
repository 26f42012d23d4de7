"""Where a registry lies: a folder with `registry.yaml`, `policy.yaml`, trusted keys; by default database and blobs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from graftwork.core.errors import ConflictError, NotFoundError, Problem, SpecError
from graftwork.core.files import write_text
from graftwork.core.recipe import read_recipe
from graftwork.core.spec import Spec, parse
from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import Blobs
from graftwork.registry.policy import PolicySpec
from graftwork.registry.signing.keys import trusted_in
from graftwork.registry.state import Registry

if TYPE_CHECKING:
    from graftwork.registry.databases.sql import SqlDatabase

FILE, POLICY, TRUSTED, DATABASE, BLOBS = "registry.yaml", "policy.yaml", "trusted", "registry.db", "blobs"
PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")

POLICY_TEXT = """\
# What a version needs to go to a stage of a name. The page "Registry" of the guide says what may stand here.
canary: {allowed_from: [candidate, retired]}
production: {allowed_from: [candidate, canary, retired]}
"""


class PlaceSpec(Spec):
    """Where database and blobs of a registry are."""

    database: str = Field(default="sqlite", min_length=1)
    """sqlite: a file in this folder. postgresql://user@host/database: a server; the password comes from PGPASSWORD."""

    blobs: str = Field(default="folder", min_length=1)
    """folder: the folder blobs/ here. s3://bucket/path and the like: an object store; its keys from the environment."""

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        if PASSWORD.search(self.database):
            problem = Problem("database", "an address with a password", "one without", "Set PGPASSWORD, or ~/.pgpass.")
            raise SpecError([problem])
        return self


def make(path: Path, spec: PlaceSpec, who: Principal) -> bool:
    """Make a registry, or bring the tables of one up to date; whether anything was to be done.

    Raises:
        ConflictError: the folder holds something else, or a registry elsewhere.
        WorkError: its database cannot be reached.
    """
    from graftwork.registry.databases.migrating import upgrade

    who.refuse_unless("administer")
    is_new = not (path / FILE).exists()
    if (
        is_new
        and path.is_dir()
        and any(child.name != FILE and not child.name.startswith(".") for child in path.iterdir())
    ) and not (path / DATABASE).exists():  # else an earlier start was killed before its last line
        raise ConflictError(f"{path} holds something else than a registry. Give a new folder.")
    if not is_new and (found := read_place(path)) != spec and spec != PlaceSpec():
        raise ConflictError(f"{path} is a registry already, with database {found.database} and blobs {found.blobs}.")
    spec = spec if is_new else read_place(path)
    path.mkdir(parents=True, exist_ok=True)
    database = _database(path, spec)
    try:
        is_done = upgrade(database.engine)
    finally:
        database.close()
    if is_new:
        if not (path / POLICY).exists():
            write_text(path / POLICY, POLICY_TEXT)
        write_text(path / FILE, f"database: {spec.database}\nblobs: {spec.blobs}\n")
    return is_new or is_done


def opened(path: Path) -> Registry:
    """The registry in a folder.

    Raises:
        NotFoundError: there is none.
        SpecError: its files are wrong.
        WorkError: its database cannot be reached.
    """
    from graftwork.registry.databases.migrating import refuse_other_schema

    spec = read_place(path)
    policy = parse(PolicySpec, read_recipe(path / POLICY)) if (path / POLICY).exists() else PolicySpec()
    if spec.database == "sqlite" and not (path / DATABASE).exists():
        raise NotFoundError(f"{path / DATABASE} is gone. Restore a backup: graftwork registry restore")
    database = _database(path, spec)
    refuse_other_schema(database.engine)
    return Registry(
        database=database,
        blobs=_blobs(path, spec),
        clock=lambda: datetime.now(UTC),
        policy=policy,
        trusted=trusted_in(path / TRUSTED),
    )


def read_place(path: Path) -> PlaceSpec:
    """What a folder says about its registry.

    Raises:
        NotFoundError: it is none.
        SpecError: what it says is wrong.
    """
    if not (path / FILE).is_file():
        raise NotFoundError(f"{path} is no registry. Make one: graftwork registry init --registry {path}")
    return parse(PlaceSpec, read_recipe(path / FILE))


def _database(path: Path, spec: PlaceSpec) -> SqlDatabase:
    from graftwork.registry.databases.sql import SqlDatabase, server_engine, sqlite_engine

    return SqlDatabase(sqlite_engine(path / DATABASE) if spec.database == "sqlite" else server_engine(spec.database))


def _blobs(path: Path, spec: PlaceSpec) -> Blobs:
    if spec.blobs == "folder":
        from graftwork.registry.blobs.folder import FolderBlobs

        return FolderBlobs(path / BLOBS)
    from graftwork.registry.blobs.objects import object_blobs

    return object_blobs(spec.blobs)
