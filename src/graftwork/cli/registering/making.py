"""`graftwork registry reproduce, prove`: a version made again from its record, or loaded and held against it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graftwork.cli.registering.opening import DEFAULT, Json, Place, VersionText, at_hand, version_named
from graftwork.cli.registering.views import short
from graftwork.cli.reply import answer
from graftwork.core.errors import Problem, SpecError, did_you_mean

if TYPE_CHECKING:
    from graftwork.adapters.logits import DtypeName
    from graftwork.pipeline.proving import Proof


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


def prove(
    version: VersionText,
    base: Annotated[str | None, typer.Option("--base", help="Instead of the base that the version names.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="Number format. [default: that of its training]")] = None,
    registry: Place = DEFAULT,
    json: Json = False,
) -> int:
    """Load a version as a server does, and compare its logits with those on record."""
    from graftwork.pipeline import proving

    with at_hand(registry) as (found, who):
        digest = version_named(found, who, version)
        data = _proof_data(digest, proving.prove(found, who, digest, base=base, dtype=_dtype(dtype)))
    lines = [
        f"Version {short(digest)} on {data['base']}",
        f"{data['dtype']} here, {data['recorded_dtype']} in training",
        f"{data['logits']} logits after {data['prompts']} prompts:",
        *(f"  {name:<44}{data[key]:.4g}" for key, name in MEASURED.items()),
        f"{'Proved' if data['is_proved'] else 'Refused'}: {data['reason']}",
    ]
    answer(data, lambda console: console.print("\n".join(lines), markup=False), as_json=json)
    return 0 if data["is_proved"] else 2


MEASURED = {
    "noise": "base here to base on record, at most",
    "tolerance": "an adapter may be apart",
    "distance": "adapter here to adapter on record, at most",
    "effect": "adapter here to base here, at most",
    "recorded_effect": "in training, to what it stands on",
}


def _proof_data(digest: str, proof: "Proof") -> dict[str, Any]:
    verdict, recorded = proof.verdict, proof.recorded
    return {
        "version": digest,
        "is_proved": verdict.is_proved,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        **{name: getattr(verdict, name) for name in MEASURED},
        "base": proof.base,
        "dtype": proof.dtype,
        "recorded_dtype": recorded.dtype,
        "prompts": len(recorded.asked),
        "logits": sum(len(one.ids) for one in recorded.asked),
    }


def _dtype(text: str | None) -> "DtypeName | None":
    from typing import get_args

    from graftwork.adapters.logits import DtypeName

    known: dict[str, DtypeName] = {name: name for name in get_args(DtypeName)}
    if text is not None and text not in known:
        raise SpecError([Problem("--dtype", text, f"one of {', '.join(known)}", did_you_mean(text, known))])
    return None if text is None else known[text]
