"""`graftwork registry reproduce`: a version made again from its record."""

from pathlib import Path
from typing import Annotated

import typer

from graftwork.cli.registering.opening import DEFAULT, Json, Place, VersionText, at_hand, version_named
from graftwork.cli.registering.views import short
from graftwork.cli.reply import answer


def reproduce(
    version: VersionText,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the new run. [default: runs/reproduced-<digest>]")
    ] = None,
    registry: Place = DEFAULT,
    json: Json = False,
) -> int:
    """Train a version again from its record, and compare.

    The data and the base must still be where its recipe says.
    """
    from graftwork.cli.watching import Terminal
    from graftwork.pipeline import reproducing

    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        folder = out or Path("runs") / f"reproduced-{short(digest)}"
        with Terminal() as watch:
            made = reproducing.reproduce(found, who, digest, out=folder, watch=watch)
    data = {
        "version": digest,
        "is_same": not made.differences,
        "content": made.content,
        "differences": list(made.differences),
        "versions": list(made.versions),
        "run": str(folder),
    }
    lines = [*made.differences, *(f"another library: {one}" for one in made.versions)]
    is_same = f"The same bytes: {made.content}"
    lines.append("It did not come out the same." if made.differences else is_same)
    answer(data, lambda console: console.print("\n".join(lines), markup=False), as_json=json)
    return 0 if data["is_same"] else 1
