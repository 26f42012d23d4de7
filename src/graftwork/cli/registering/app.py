"""`graftwork registry`: its commands, in the order in which a new user needs them."""

import typer

from graftwork.cli.registering import keeping, making, moving, versions
from graftwork.cli.registering.keys import access_app, keys_app

registry_app = typer.Typer(
    name="registry",
    help="Versions of adapters, names that mean them, and a ledger of all that was done.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _command in (
    ("init", versions.init),
    ("add", versions.add),
    ("list", versions.list_versions),
    ("show", versions.show),
    ("history", moving.history),
    ("at", moving.at),
    ("promote", moving.promote),
    ("approve", moving.approve),
    ("rollback", moving.rollback),
    ("retire", moving.retire),
    ("verify", keeping.verify),
    ("checkpoint", keeping.checkpoint),
    ("reproduce", making.reproduce),
    ("prove", making.prove),
    ("gc", keeping.gc),
    ("pin", keeping.pin),
    ("unpin", keeping.unpin),
    ("backup", keeping.backup),
    ("restore", keeping.restore),
    ("export", versions.export_version),
    ("import", versions.import_version),
):
    registry_app.command(_name)(_command)
registry_app.add_typer(keys_app, name="keys")
registry_app.add_typer(access_app, name="access")
