"""Where an adapter comes from: what its card says about its training."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import graftwork
from graftwork.core.spec import plain
from graftwork.pipeline.folder import Done
from graftwork.pipeline.work import Work


def provenance(work: Work, prepared: Done, num_steps: int, computing: Mapping[str, Any]) -> dict[str, Any]:
    """What an adapter's card says about how it was trained."""
    return {
        "recipe": dict(plain(work.spec)),
        "data": {side: prepared.summary[side]["digest"] for side in ("train", "evaluation")},
        "seed": work.spec.training.seed,
        "num_steps": num_steps,
        "versions": {
            "graftwork": graftwork.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")},
        },
        "threads": computing["threads"],
    }
