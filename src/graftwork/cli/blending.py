"""`graftwork blend`: a weighted sum of adapters as one. A term is an adapter with all that it stands on."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.arithmetic import Kept, as_lora, recompressed, summed
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.standing import standing
from graftwork.cli.opening import open_adapter
from graftwork.core.errors import ConflictError, Problem, SpecError


def blend_adapters(terms: Sequence[str], out: Path, base: str | None, rank: int | None) -> dict[str, Any]:
    """Write the weighted sum of adapters of one base as one new adapter.

    Args:
        terms: `FOLDER` or `FOLDER:WEIGHT`, the weight 1 where none is given.
        rank: most directions that a place of the sum may use; None for as many as all the terms have together.

    Raises:
        SpecError: a weight is no number, or the sum cannot be had as a LoRA.
        GraftworkError: as opening an adapter does; all of them must belong to the same base.
    """
    if out.exists():
        raise ConflictError(f"{out} is there already. Choose another name or move it away.")
    parts = [_term(text) for text in terms]
    opened = open_adapter(parts[0][0], base, "float32")
    base_at_hand = opened.bank.base
    weighted = [(one.folder, weight) for folder, weight in parts for one in standing(folder)]
    read = {folder: read_adapter(folder, base_at_hand).adapter for folder, _ in weighted}
    updates = summed([(read[folder], weight) for folder, weight in weighted])
    made, kept = recompressed(updates, rank=rank) if rank else (as_lora(updates), {})
    parents = _parents([read[folder] for folder, _ in weighted], weighted)
    card = write_adapter(out, made, opened.bank.base, {"blended": {"parents": parents, "rank": rank}, **_lost(kept)})
    ranks = [here.spec.rank for here in made.placed.values()]  # type: ignore[attr-defined]
    return {
        "folder": str(out),
        "digest": card.digest,
        "parents": [f"{parent['digest'][:12]} x {parent['weight']:g}" for parent in parents],
        "ranks": f"{min(ranks)} to {max(ranks)}" if min(ranks) < max(ranks) else f"{ranks[0]}",
        **_lost(kept),
    }


def _term(text: str) -> tuple[Path, float]:
    folder, colon, told = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), 1.0
    try:
        weight = float(told)
    except ValueError:
        weight = float("nan")
    if not isfinite(weight):
        raise SpecError([Problem(text, told, "FOLDER:WEIGHT with a finite number", "0.5 takes half of its update.")])
    return Path(folder), weight


def _parents(adapters: Sequence[Adapter], parts: Sequence[tuple[Path, float]]) -> list[dict[str, Any]]:
    return [
        {"digest": adapter.digest(), "weight": weight, "name": folder.name}
        for adapter, (folder, weight) in zip(adapters, parts, strict=True)
    ]


def _lost(kept: Mapping[str, Kept]) -> dict[str, float]:
    """Over all places: the share of the squared norm that is kept, and that of the place that keeps least."""
    if not kept:
        return {}
    whole = sum(one.norm**2 for one in kept.values())
    lost = sum(one.lost_norm**2 for one in kept.values())
    least = min(one.energy_frac for one in kept.values())
    return {"kept_energy_frac": 1 - lost / whole if whole else 1.0, "least_kept_energy_frac": least}
