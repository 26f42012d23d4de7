"""Where an adapter comes from: what its card says about its training."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import graftwork
from graftwork.core.digests import digest
from graftwork.core.spec import plain
from graftwork.data.store import TokenStore
from graftwork.pipeline.folder import Done
from graftwork.pipeline.work import Work

TRAIN = "data/train"


def provenance(work: Work, prepared: Done, num_steps: int, computing: Mapping[str, Any]) -> dict[str, Any]:
    """What an adapter's card says about how it was trained."""
    return {
        "recipe": dict(plain(work.spec)),
        "data": data_told(work, prepared),
        "seed": work.spec.training.seed,
        "num_steps": num_steps,
        "versions": {
            "graftwork": graftwork.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")},
        },
        "threads": computing["threads"],
    }


def data_told(work: Work, prepared: Done) -> dict[str, str]:
    """Digests of the records of both sides, and of the rows that were trained on."""
    told: dict[str, str] = {side: prepared.summary[side]["digest"] for side in ("train", "evaluation")}
    weights = [source.weight for source in work.spec.data.sources]
    return {**told, "rows": seen_rows(work.folder.path, prepared, weights)}


def seen_rows(folder: Path, prepared: Done, weights: Sequence[float]) -> str:
    """Names the rows that are trained on in `folder`: tokens, targets, lengths, in order, and how often each is seen.

    Where every row is seen once in a pass, it makes no difference how many sources they came from.

    Args:
        weights: of the training sources, in order.
    """
    rows = TokenStore(folder / TRAIN, prepared.summary["train"]["files"])
    often = [] if all(weight == 1 for weight in weights) else [rows.sources.tolist(), list(weights)]
    return digest(
        [*(prepared.outputs[f"{TRAIN}.{part}"] for part in ("tokens", "targets")), rows.lengths.tolist(), often]
    )
