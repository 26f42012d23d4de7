"""The registry that a command works on, and who asks; words that all its commands share."""

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graftwork.core.errors import DeniedError, NotFoundError, Problem, SpecError

if TYPE_CHECKING:
    from graftwork.registry.access.roles import Principal
    from graftwork.registry.stages import Stage
    from graftwork.registry.state import Registry

KEY = "GRAFTWORK_KEY"
NEEDED = {"sqlalchemy": "sqlalchemy", "alembic": "alembic", "argon2": "argon2-cffi"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Place = Annotated[Path, typer.Option("--registry", envvar="GRAFTWORK_REGISTRY", help="The registry's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="A name.", show_default=False)]
VersionText = Annotated[
    str,
    typer.Argument(metavar="VERSION", help="A digest or its beginning, NAME, or NAME:STAGE.", show_default=False),
]
StageText = Annotated[str, typer.Option("--stage", help="candidate, canary or production.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the move.")]
Expected = Annotated[
    str | None,
    typer.Option("--expected", metavar="DIGEST|none", help="What the name is there now. [default: what is read]"),
]
DEFAULT = Path("registry")


@contextmanager
def at_hand(place: Path) -> "Iterator[tuple[Registry, Principal]]":
    """The registry in a folder, and who asks: the holder of the key in GRAFTWORK_KEY, else this machine's user.

    Raises:
        DeniedError: the key opens nothing, or there is none and the registry's rules ask for one.
    """
    refuse_without_packages()
    from graftwork.registry.access.keys import authenticated
    from graftwork.registry.place import opened

    registry = opened(place)
    try:
        if text := os.environ.get(KEY):
            who = authenticated(registry, text)
        elif registry.policy.keys == "required":
            raise DeniedError(f"This registry asks for an API key. Put yours into {KEY}.")
        else:
            who = local()
        yield registry, who
    finally:
        registry.database.close()


def local() -> "Principal":
    """This machine's user, who may do everything: whoever may write the folder could anyway."""
    from graftwork.registry.access.roles import MAY, principal

    return principal(getpass.getuser(), MAY)


def refuse_without_packages() -> None:
    """Raise SpecError unless the packages of the registry are installed."""
    if missing := [package for module, package in NEEDED.items() if find_spec(module) is None]:
        hint = "Install them: pip install 'graftwork[registry]'"
        raise SpecError([Problem("graftwork registry", None, f"the packages {', '.join(missing)}", hint)])


def version_named(registry: "Registry", who: "Principal", text: str) -> str:
    """The digest that a word means: a digest or its beginning, NAME (in production), NAME:STAGE."""
    from graftwork.registry import naming, versions
    from graftwork.registry.stages import stage_named

    name, _, stage = text.partition(":")
    if stage:
        return naming.resolve(registry, who, name, stage_named(stage))
    try:
        return versions.find(registry, who, text)
    except (NotFoundError, SpecError):
        if text in naming.names(registry, who):
            return naming.resolve(registry, who, text)
        raise


def seen(registry: "Registry", who: "Principal", name: str, stage: "Stage", expected: str | None) -> str | None:
    """What the caller says the name is at a stage, else what it is."""
    from graftwork.registry import naming, versions

    if expected is None:
        return naming.names(registry, who).get(name, {}).get(stage)
    return None if expected == "none" else versions.find(registry, who, expected)


def moment(text: str, where: str) -> datetime:
    """A moment from text: a day is its last moment in UTC; a time without a zone is refused.

    Raises:
        SpecError: it is no moment.
    """
    try:
        found = datetime.fromisoformat(f"{text}T23:59:59.999999Z" if DAY.fullmatch(text) else text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        hint = "A day means its end, in UTC."
        raise SpecError([Problem(where, text, "a day or a moment: 2026-03-03 or 2026-03-03T14:00Z", hint)])
    return found.astimezone(UTC)
