"""`graftwork replay`: an answer made again from its receipt. `graftwork receipts`: a folder of receipts, checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from graftwork.cli.registering.opening import DEFAULT, Json, Place, at_hand
from graftwork.cli.reply import answer
from graftwork.core.errors import NotFoundError, Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftwork.registry.signing.keys import PublicKey

EXIT_OTHER = 1
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="Public key of the server, FILE.pub. [default: those that the registry trusts]"),
]


def replay(
    receipt: Annotated[Path, typer.Argument(help="The receipt's envelope, a JSON file.", show_default=False)],
    request: Annotated[Path, typer.Option("--request", help="The request's body, byte for byte.")],
    registry: Place = DEFAULT,
    key: KeyFile = None,
    base: Annotated[str | None, typer.Option("--base", help="The base. [default: that of the version]")] = None,
    guard: Annotated[Path | None, typer.Option("--guard", help="The guard's policy, a YAML file.")] = None,
    json: Json = False,
) -> None:
    """Answer a request again, and say whether the tokens are those of its receipt.

    Exit code 0 when they are, 1 when not.
    """
    from graftwork.pipeline.replay_here import replayed_here

    content, body = _read(receipt).decode("utf-8", "replace"), _read(request)
    with at_hand(registry) as (found, who):
        trusted = _trusted(key, found.trusted)
        told = replayed_here(found, who, content, body, trusted=trusted, base=base, guard=guard)
    data = {"tokens": told.tokens, "differences": list(told.differences), "count": told.count}
    answer(data, lambda console: _show(console, data), as_json=json)
    if told.tokens != "equal":
        raise typer.Exit(EXIT_OTHER)


def receipts(
    folder: Annotated[Path, typer.Argument(help="A server's folder of receipts.", show_default=False)],
    key: Annotated[Path, typer.Option("--key", help="Public key of the server, FILE.pub.")],
    json: Json = False,
) -> None:
    """Check every receipt of a server: signatures, and that none was changed, moved or taken out.

    That some are missing at the end cannot be seen from the rest: compare the last digest with one kept elsewhere.
    """
    from graftwork.serving.operations.journal import verified

    head = verified(folder, _trusted(key, {}))
    data = {"receipts": head.sequence, "last": head.digest}
    said = f"{head.sequence} receipts, all as they were written. Last: {head.digest}"
    answer(data, lambda console: console.print(said, markup=False, soft_wrap=True), as_json=json)


def _trusted(key: Path | None, known: "Mapping[str, PublicKey]") -> "Mapping[str, PublicKey]":
    from graftwork.registry.signing.keys import read_public_key

    if key is not None:
        public = read_public_key(key)
        return {public.key_id: public}
    if not known:
        raise SpecError([Problem("--key", None, "the server's public key", "The registry trusts no key.")])
    return known


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} is not there, or is no file.") from error


def _show(console: Console, data: dict[str, Any]) -> None:
    words = {
        "equal": f"The same {data['count']} tokens.",
        "other": "Other tokens.",
        "not answered": "It cannot be answered again.",
    }
    console.print(words[data["tokens"]], markup=False)
    for line in data["differences"]:
        console.print(f"- {line}", markup=False)
