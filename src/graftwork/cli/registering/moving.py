"""`graftwork registry history, at, promote, approve, rollback, retire`: names."""

from typing import Annotated

import typer

from graftwork.cli.registering.opening import (
    DEFAULT,
    Expected,
    Json,
    Name,
    Place,
    Reason,
    StageText,
    VersionText,
    at_hand,
    moment,
    seen,
    version_named,
)
from graftwork.cli.registering.views import moment_text, move_data, short, show_moves
from graftwork.cli.reply import answer


def history(name: Name, registry: Place = DEFAULT, json: Json = False) -> None:
    """Every move of a name."""
    from graftwork.registry import naming

    with at_hand(registry) as (found, who):
        moves = naming.history(found, who, name)
    data = {"name": name, "moves": [move_data(move) for move in moves]}
    answer(data, lambda console: show_moves(console, name, moves), as_json=json)


def at(
    when: Annotated[str, typer.Argument(metavar="TIME", help="2026-03-03, or 2026-03-03T14:00Z.", show_default=False)],
    name: Name,
    stage: StageText = "production",
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """What a name was at a moment."""
    from graftwork.registry import naming
    from graftwork.registry.interface import time_text, to_us
    from graftwork.registry.stages import stage_named

    asked, which = moment(when, "TIME"), stage_named(stage)
    with at_hand(registry) as (found, who):
        move = naming.at(found, who, name, asked, which)
    data = {
        "name": name,
        "stage": which,
        "time": time_text(to_us(asked)),
        "version": move.after if move else None,
        "since": move_data(move) if move else None,
    }
    said = f"{name} had no version in {which} at {moment_text(to_us(asked))}."
    if move and move.after:
        since = moment_text(move.time_us)
        said = f"{name} in {which} at {moment_text(to_us(asked))}: {move.after}\nsince {since}, moved by {move.actor}"
    answer(data, lambda console: console.print(said, markup=False), as_json=json)


def promote(
    name: Name,
    version: VersionText,
    to: Annotated[str, typer.Option("--to", help="canary or production.")] = "production",
    expected: Expected = None,
    reason: Reason = "",
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Take a version to a stage of a name, by its rule."""
    from graftwork.registry import naming
    from graftwork.registry.stages import stage_named

    stage = stage_named(to)
    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        before = seen(found, who, name, stage, expected)
        naming.promote(found, who, name, digest, stage, expected=before, reason=reason)
    _moved(name, stage, before, digest, as_json=json)


def approve(
    name: Name,
    version: VersionText,
    stage: StageText = "production",
    reason: Reason = "",
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Vouch for a version at a stage of a name; its trainer cannot."""
    from graftwork.registry import naming
    from graftwork.registry.stages import stage_named

    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        naming.approve(found, who, name, digest, stage_named(stage), reason=reason)
    data = {"name": name, "stage": stage, "version": digest, "approver": who.actor}
    said = f"{who.actor} approves {short(digest)} for {stage} of {name}."
    answer(data, lambda console: console.print(said, markup=False), as_json=json)


def rollback(
    name: Name,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="[default: the one before the last move]")
    ] = None,
    stage: StageText = "production",
    expected: Expected = None,
    reason: Reason = "",
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Point a name back to a version that it meant before."""
    from graftwork.registry import naming
    from graftwork.registry.stages import stage_named

    which = stage_named(stage)
    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version) if version else None
        before = seen(found, who, name, which, expected)
        after = naming.rollback(found, who, name, digest, expected=before, stage=which, reason=reason)
    _moved(name, which, before, after, as_json=json)


def retire(
    name: Name,
    stage: StageText = "production",
    expected: Expected = None,
    reason: Reason = "",
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Let a name mean nothing at a stage."""
    from graftwork.registry import naming
    from graftwork.registry.stages import stage_named

    which = stage_named(stage)
    with at_hand(registry) as (found, who):
        before = seen(found, who, name, which, expected)
        naming.retire(found, who, name, expected=before, stage=which, reason=reason)
    _moved(name, which, before, None, as_json=json)


def _moved(name: str, stage: str, before: str | None, after: str | None, *, as_json: bool) -> None:
    data = {"name": name, "stage": stage, "before": before, "after": after}
    said = f"{name} in {stage}: {short(before)} -> {short(after)}"
    answer(data, lambda console: console.print(said, markup=False), as_json=as_json)
