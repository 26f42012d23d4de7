"""`graftwork registry verify, checkpoint, gc, pin, unpin, backup, restore`: keeping what is on record."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from graftwork.cli.registering.opening import DEFAULT, Json, Place, VersionText, at_hand, moment, version_named
from graftwork.cli.registering.views import (
    checked_data,
    garbage_data,
    moment_text,
    short,
    show_checked,
    show_garbage,
)
from graftwork.cli.reply import answer
from graftwork.core.errors import Problem, SpecError

Holder = Annotated[str, typer.Option("--holder", help="Who needs it, such as a server or a run.")]


def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A checkpoint kept elsewhere. Repeatable.")
    ] = None,
    registry: Place = DEFAULT,
    json: Json = False,
) -> int:
    """Check ledger, rows, signatures and every byte; name what is wrong."""
    from graftwork.registry.checking import check

    others = tuple(_text(path) for path in checkpoint or ())
    with at_hand(registry) as (found, who):
        data = checked_data(check(found, who, checkpoints=others))
    answer(data, lambda console: show_checked(console, data), as_json=json)
    return 0 if data["is_whole"] else 2


def checkpoint(
    key: Annotated[Path, typer.Option("--key", help="File with a private key.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write it to this new file, to keep elsewhere.")
    ] = None,
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Sign the ledger as it is."""
    from graftwork.core.files import write_text
    from graftwork.registry.checkpoints import read_checkpoint, sign_checkpoint
    from graftwork.registry.exchange import refuse_existing
    from graftwork.registry.signing.keys import read_private_key

    signer = read_private_key(key)
    if out is not None:
        refuse_existing(out)
    with at_hand(registry) as (found, who):
        text = sign_checkpoint(found, who, signer)
    if out is not None:
        write_text(out, text + "\n")
    said = read_checkpoint(text)
    data = {"sequence": said.sequence, "digest": said.digest, "key_id": signer.public.key_id, "file": str(out or "")}
    line = (
        f"Signed up to entry {said.sequence} of the ledger, {short(said.digest)}, by key {short(signer.public.key_id)}."
    )
    answer(data, lambda console: console.print(line), as_json=json)


def gc(
    keep: Annotated[int | None, typer.Option("--keep-days", min=0, help="[default: that of the policy]")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Give them up; else only say what would go.")] = False,
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Give up files of versions that nobody needs."""
    from graftwork.registry.collecting import collect, plan

    period = None if keep is None else timedelta(days=keep)
    with at_hand(registry) as (found, who):
        garbage = collect(found, who, keep=period) if yes else plan(found, who, keep=period)
    data = garbage_data(garbage, is_done=yes)
    answer(data, lambda console: show_garbage(console, data), as_json=json)


def pin(
    version: VersionText,
    holder: Holder,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="2026-12-31, or 2026-12-31T14:00Z.")],
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Keep the files of a version until a moment."""
    from graftwork.registry import pins
    from graftwork.registry.interface import to_us

    end = moment(until, "--until")
    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        pins.pin(found, who, digest, holder, end)
    data = {"version": digest, "holder": holder, "until": end.isoformat()}
    said = f"{short(digest)} is pinned by {holder} until {moment_text(to_us(end))}."
    answer(data, lambda console: console.print(said, markup=False), as_json=json)


def unpin(version: VersionText, holder: Holder, registry: Place = DEFAULT, json: Json = False) -> None:
    """Need a version no longer."""
    from graftwork.registry import pins

    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        pins.unpin(found, who, digest, holder)
    said = f"{short(digest)} is not pinned by {holder} any more."
    answer({"version": digest, "holder": holder}, lambda console: console.print(said, markup=False), as_json=json)


def backup(
    out: Annotated[Path, typer.Argument(help="New file.", show_default=False)],
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Write everything to one file."""
    from graftwork.registry.backup import back_up

    with at_hand(registry) as (found, who):
        num_rows, num_blobs = back_up(found, who, out)
    said = f"{num_rows} rows and {num_blobs} blobs are in {out}."
    data = {"file": str(out), "rows": num_rows, "blobs": num_blobs}
    answer(data, lambda console: console.print(said, markup=False), as_json=json)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that backup wrote.", show_default=False)],
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Fill a new registry (see init) from a backup.

    Its rules come back too; which keys are trusted does not, and is yours to say.
    """
    from graftwork.core.files import write_text
    from graftwork.core.recipe import text_of
    from graftwork.core.spec import plain
    from graftwork.registry.backup import restore as fill
    from graftwork.registry.place import POLICY

    with at_hand(registry) as (found, who):
        policy, num_rows, num_blobs = fill(found, who, file)
    write_text(registry / POLICY, text_of(plain(policy)))
    said = f"{num_rows} rows and {num_blobs} blobs are back."
    data = {"registry": str(registry), "rows": num_rows, "blobs": num_blobs}
    answer(data, lambda console: console.print(said, markup=False), as_json=json)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError([Problem("--checkpoint", str(path), "a file that checkpoint wrote")]) from error
