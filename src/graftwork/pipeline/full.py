"""Step `train` of full tuning: the base's own parameters, on a copy, by the same steps as an adapter.

Neither the base in memory, if there is one, nor its files are ever written to: what is trained is read a second time,
and belongs to this training alone. What comes of it is a model folder.
"""

from __future__ import annotations

import resource
import time
from math import prod
from typing import Any

import torch

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank
from graftwork.base.fingerprint import fingerprint
from graftwork.base.load import Base, load_base
from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError
from graftwork.pipeline.begin import Trainee, begin
from graftwork.pipeline.folder import Done
from graftwork.pipeline.model_folder import MODEL, write_model
from graftwork.pipeline.provenance import provenance
from graftwork.pipeline.session import to_the_end
from graftwork.pipeline.train_inputs import train_inputs
from graftwork.pipeline.work import Work
from graftwork.training.full import full_of


def train_full(work: Work, prepared: Done) -> Done:
    """Do the step, unless it is done already; go on from the newest checkpoint when there is one.

    Raises:
        WorkError: the loss is not finite any more.
        IntegrityError: the base's files changed while training.
        Interrupted: asked to stop; the state is saved.
    """
    began_s, inputs = time.monotonic(), train_inputs(work, prepared)
    if done := work.folder.still_done("train", inputs):
        work.watch.say("train: done already")
        return done
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    own = _own_copy(work)
    trainee = to_train(work, own)
    trained = begin(work, prepared, digest(inputs), trainee)
    ended = to_the_end(work, trained)
    if fingerprint(work.base_folder) != work.fingerprint:
        raise IntegrityError(f"{work.base_folder} changed while training. Nothing was kept.")
    if kept := work.folder.set_aside(MODEL):
        work.watch.say(f"a model of other inputs lay here; it is kept at {kept}")
    folder = work.folder.path / MODEL
    card = write_model(folder, own, provenance(work, prepared, ended["kept_step"], trained.computing))
    summary: dict[str, Any] = {
        "model_digest": card.digest,
        "num_params": sum(prod(tensor.shape) for tensor in trainee.params.values()),
        "num_base_params": own.facts.num_params,
        **ended,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    outputs = [f"{MODEL}/{path.name}" for path in folder.iterdir()]
    return work.folder.record("train", inputs, outputs, summary, began_s)


def to_train(work: Work, own: Base) -> Trainee:
    """The parameters of `own`, which nobody else may use, in their first state."""
    full = full_of(own, work.spec.adapter)
    bank = AdapterBank(own)
    handle = bank.add(Adapter(spec=None, placed={}), name=work.spec.name)
    return Trainee(bank=bank, handle=handle, params=full.params, below={}, loss=full.loss, ready=full.ready)


def _own_copy(work: Work) -> Base:
    work.watch.say(f"loading a copy of {work.spec.base} to train ({work.spec.dtype})")
    spec = work.spec
    own = load_base(str(work.base_folder), dtype=spec.dtype, device=work.device, attention=spec.attention)
    if own.fingerprint != work.fingerprint:
        raise IntegrityError(f"{work.base_folder} changed while it was being read.")
    return own.called(spec.base)
