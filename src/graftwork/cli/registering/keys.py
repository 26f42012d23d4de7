"""`graftwork registry keys` (that sign) and `graftwork registry access` (API keys)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graftwork.cli.registering.opening import (
    DEFAULT,
    Json,
    Place,
    at_hand,
    moment,
)
from graftwork.cli.registering.views import NONE, moment_text, short, show_table
from graftwork.cli.reply import answer
from graftwork.core.errors import ConflictError

if TYPE_CHECKING:
    from graftwork.registry.access.keys import ApiKey

keys_app = typer.Typer(
    name="keys",
    help="Keys that sign versions and checkpoints.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
access_app = typer.Typer(
    name="access",
    help="API keys: who may do what.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Words = Annotated[list[str] | None, typer.Option("--scope", help="Of its roles' permissions only this. Repeatable.")]


@keys_app.command("new")
def new_signing_key(
    file: Annotated[Path, typer.Argument(help="New file; FILE.pub is its public half.", show_default=False)],
    json: Json = False,
) -> None:
    """Write a fresh key, readable by its owner alone."""
    from graftwork.registry.signing.keys import write_new_key

    public = write_new_key(file)
    data = {"file": str(file), "public": f"{file}.pub", "key_id": public.key_id}
    said = f"key {short(public.key_id)}: {file}. Keep it to yourself; give others {file}.pub."
    answer(data, lambda console: console.print(said, markup=False), as_json=json)


@keys_app.command("trust")
def trust(
    file: Annotated[Path, typer.Argument(help="A public key, FILE.pub.", show_default=False)],
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Let signatures of a key count in this registry."""
    from graftwork.core.files import write_bytes
    from graftwork.registry.place import TRUSTED
    from graftwork.registry.signing.keys import PUBLIC, public_pem, read_public_key

    public = read_public_key(file)
    with at_hand(registry) as (_, who):
        who.refuse_unless("administer")
        place = registry / TRUSTED / f"{public.key_id[:16]}{PUBLIC}"
        if place.exists():
            raise ConflictError(f"key {short(public.key_id)} is trusted already.")
        write_bytes(place, public_pem(public))
    said = f"key {short(public.key_id)} is trusted: {place}"
    answer({"key_id": public.key_id, "file": str(place)}, lambda c: c.print(said, markup=False), as_json=json)


@keys_app.command("list")
def list_trusted(registry: Place = DEFAULT, json: Json = False) -> None:
    """Keys whose signatures count."""
    with at_hand(registry) as (found, who):
        who.refuse_unless("read")
        ids = sorted(found.trusted)
    answer({"trusted": ids}, lambda c: show_table(c, "Trusted keys", ("key",), [(i,) for i in ids]), as_json=json)


@access_app.command("new")
def new_api_key(
    owner: Annotated[str, typer.Argument(help="What the ledger calls its holder.", show_default=False)],
    role: Annotated[
        list[str], typer.Option("--role", help="viewer, trainer, approver, deployer or admin. Repeatable.")
    ],
    scope: Words = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose versions it sees. [default: yours]")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="2026-12-31. [default: never]")
    ] = None,
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Make an API key. It is shown this once."""
    from graftwork.registry.access.keys import new_key

    end = None if expires is None else moment(expires, "--expires")
    with at_hand(registry) as (found, who):
        text = new_key(found, who, owner, role, scopes=scope or (), tenant=tenant, expires=end)
    said = f"{text}\nThis is shown once. {owner} puts it into GRAFTWORK_KEY."
    answer({"key": text, "id": text.split("_")[1], "owner": owner}, lambda c: c.print(said, markup=False), as_json=json)


@access_app.command("list")
def list_api_keys(registry: Place = DEFAULT, json: Json = False) -> None:
    """API keys, without their secrets."""
    from dataclasses import asdict

    from graftwork.registry.access.keys import all_keys

    with at_hand(registry) as (found, who):
        kept = all_keys(found, who)
    rows = [_row(one) for one in kept]
    columns = ("id", "owner", "tenant", "roles", "scopes", "until", "revoked")
    data = {"keys": [asdict(one) for one in kept]}
    answer(data, lambda console: show_table(console, "API keys", columns, rows), as_json=json)


@access_app.command("revoke")
def revoke_api_key(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The part between gw_ and the next _.", show_default=False)],
    registry: Place = DEFAULT,
    json: Json = False,
) -> None:
    """Let an API key open nothing any more."""
    from graftwork.registry.access.keys import revoke

    with at_hand(registry) as (found, who):
        revoke(found, who, id_)
    answer({"id": id_, "revoked": True}, lambda c: c.print(f"{id_} is revoked.", markup=False), as_json=json)


def _row(key: "ApiKey") -> tuple[str, ...]:
    words = (key.id, key.owner, key.tenant, ", ".join(key.roles), ", ".join(key.scopes) or NONE)
    return (*words, moment_text(key.expires_us), moment_text(key.revoked_us))
