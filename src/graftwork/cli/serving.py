"""`graftwork serve`: answer over HTTP, in OpenAI's form."""

import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.reply import answer
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from graftwork.pipeline.service import Began

NEEDED = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "sqlalchemy": "sqlalchemy",
    "alembic": "alembic",
    "argon2": "argon2-cffi",
    "prometheus_client": "prometheus-client",
    "structlog": "structlog",
}


def serve(  # noqa: PLR0913  each is a flag
    registry: Annotated[
        Path | None, typer.Option("--registry", envvar="GRAFTWORK_REGISTRY", help="The registry's folder.")
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter", metavar="[NAME=]FOLDER", help="An adapter for a quick look, no registry. Repeatable."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="The base. [default: bundled:smollm2-135m-instruct]")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="What computes answers: graftwork or vllm. [default: graftwork]")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Where to listen. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option("--port", help="The port; 0 for any. [default: 8000]")] = None,
    settings: Annotated[Path | None, typer.Option("--settings", help="A YAML file with everything else.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output once it serves.")] = False,
) -> None:
    """Answer over HTTP, in OpenAI's form.

    Ends in good order when asked to (Ctrl-C, SIGTERM): answers under way come to their end first.
    """
    if missing := [package for module, package in NEEDED.items() if find_spec(module) is None]:
        hint = "Install them: pip install 'graftwork[serve]'"
        raise SpecError([Problem("graftwork serve", None, f"the packages {', '.join(missing)}", hint)])
    if registry is not None and adapter:
        hint = "Put its run into the registry (graftwork registry add), or unset GRAFTWORK_REGISTRY."
        raise SpecError([Problem("--adapter", adapter, "no --registry beside it", hint)])
    from graftwork.cli.kernels import keep_few_products

    keep_few_products()
    from graftwork.pipeline import service
    from graftwork.pipeline.serve_settings import read_settings

    spec = read_settings(settings, {"base": base, "engine": engine, "host": host, "port": port})

    def began(told: "Began") -> None:
        _say(told, as_json=json)

    if registry is not None:
        service.serve_registry(spec, registry, began)
    else:
        service.serve_folders(spec, adapter or [], began)


def _say(told: "Began", *, as_json: bool) -> None:
    lines = [f"Serving at {told.address}/v1: {', '.join(told.names)}"]
    if told.key:
        lines.append(f"API key, for this run alone: {told.key}")
    if kept := told.receipts:
        made = ", made now" if kept.is_new_key else ""
        lines.append(
            f"Receipts: {kept.folder}, signed by key {kept.key_id[:12]}{made}; to check them: {kept.public_key}"
        )
        lines += [kept.repaired] if kept.repaired else []
    lines += told.notes
    lines.append("Ctrl-C ends it once the answers under way have come to their end.")

    def view(console: Any) -> None:
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)

    answer(asdict(told), view, as_json=as_json)
    sys.stdout.flush()
