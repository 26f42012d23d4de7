"""The schema of a SQL database: made and brought up to date by the migrations in the package (Alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from graftwork.core.errors import ConflictError, NotFoundError
from graftwork.registry.databases.sql import in_words, writing

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def upgrade(engine: Engine) -> bool:
    """Bring the tables up to date, all or nothing; whether anything was to be done.

    Raises:
        ConflictError: they are of a newer version of this package.
        WorkError: the database cannot be reached.
    """
    with in_words(), writing(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        _refuse_newer(found)
        if found == newest():
            return False
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def refuse_other_schema(engine: Engine) -> None:
    """Raise unless the tables are those of this version of the package.

    Raises:
        NotFoundError: there are none.
        ConflictError: they are older, or newer.
    """
    with in_words(), engine.connect() as connection, connection.begin():
        found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        raise NotFoundError("The registry's database has no tables. Make them: graftwork registry init")
    _refuse_newer(found)
    if found != newest():
        raise ConflictError(
            f"The registry's tables are of form {found}, this graftwork works with {newest()}. "
            "Make a backup, then bring them up to date: graftwork registry init"
        )


def newest() -> str:
    """The newest form of the tables that this package knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _refuse_newer(found: str | None) -> None:
    known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise ConflictError(
            f"The registry's tables are of form {found}, which is newer than this graftwork. Update it."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
