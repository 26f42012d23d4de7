"""All that a training depends on: when none of it has changed, nothing is trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftwork.core.digests import digest
from graftwork.core.spec import plain
from graftwork.data.batches import Mixture
from graftwork.data.store import TokenStore
from graftwork.pipeline.below import told_below
from graftwork.pipeline.folder import Done
from graftwork.pipeline.work import Work, prepared_tokens

if TYPE_CHECKING:
    from graftwork.pipeline.stages import Stage

UNTOLD = ("checkpoint_every", "keep_checkpoints", "watch_every")
"""Settings of the training that change nothing about its adapter."""

HELD_OUT = ("data/evaluation.tokens", "data/evaluation.targets", "data/evaluation.index.npy")


def train_inputs(work: Work, prepared: Done, stage: Stage | None = None) -> dict[str, Any]:
    """What the request, its data, its base and what it stands on, or goes on with, say of the training."""
    spec = work.spec
    rows = prepared_tokens(work, "train", prepared.summary)
    return {
        "base": work.fingerprint.digest,
        "dtype": spec.dtype,
        "attention": spec.attention,
        **({} if spec.quantised == "off" else {"quantised": spec.quantised}),
        "data": [prepared.outputs[f"data/train.{part}"] for part in ("tokens", "targets")],
        **({"held_out": [prepared.outputs[name] for name in HELD_OUT]} if spec.training.looks_decide else {}),
        "rows": digest([rows.lengths.tolist(), rows.sources.tolist()]),
        "weights": [source.weight for source in spec.data.sources],
        "adapter": dict(plain(spec.adapter)),
        "training": {k: v for k, v in plain(spec.training).items() if k not in UNTOLD},
        **told_below(work),
        **(stage.inputs if stage else {}),
    }


def num_steps(work: Work, prepared: Done) -> int:
    """How many optimizer steps the training has."""
    return work.spec.training.num_steps(mixture_of(work, prepared_tokens(work, "train", prepared.summary)).epoch_size)


def mixture_of(work: Work, records: TokenStore) -> Mixture:
    """How often the rows of each source are seen; rows of a source stand together."""
    weights = tuple(source.weight for source in work.spec.data.sources)
    sources = records.sources.tolist()
    return Mixture(tuple(sources.count(number) for number in range(len(weights))), weights)
