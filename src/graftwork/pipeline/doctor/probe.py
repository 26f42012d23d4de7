"""A training as it would begin, on a few records: its gradients before and after one step, and however it is cut.

Nothing of it is kept: the adapter is one of its own, in memory, and without dropout, which would draw anew in each cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

import torch

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.standing import at_rest
from graftwork.base.load import load_base
from graftwork.core.spec import parse, plain
from graftwork.data.batches import evenly
from graftwork.data.collate import collate
from graftwork.pipeline.begin import Trainee, adapter_to_train
from graftwork.pipeline.fit import one_step_job
from graftwork.pipeline.full import to_train
from graftwork.training.optimizers import set_rate
from graftwork.training.passes import Part, accumulated, step_of
from graftwork.training.scaling import unscale
from graftwork.training.spec import TrainSpec

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.pipeline.doctor.patient import Patient
    from graftwork.training.job import Layout, TrainJob

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A training at its beginning.

    Attributes:
        job: on a few records, a step of all of them; its adapter has no dropout.
        trainee: what it trains.
        asked: the same tensors as they were asked for, dropout and all: what a training would write.
    """

    job: TrainJob
    trainee: Trainee
    asked: Adapter

    @property
    def bank(self) -> AdapterBank:
        """Where the adapter acts."""
        return self.job.bank

    @property
    def adapter(self) -> Adapter:
        """What is trained; without places where the base itself is."""
        return self.bank[self.job.handle]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What was seen of a probe.

    Attributes:
        first: norm of each trained tensor's gradient before the first step; None where none arrived.
        second: after one step.
        cuts: by the name of a cut, how far its gradient is from that of the records one by one, as a share of it.
        base_moved: whether a byte of the base is another one after the step; None where the base itself is trained.
        seconds: of a forward and backward pass of all records, warmed up.
    """

    first: Mapping[str, float | None]
    second: Mapping[str, float | None]
    cuts: Mapping[str, float]
    base_moved: bool | None
    seconds: float


def probe_of(patient: Patient) -> Probe:
    """The patient's training before its first step, on its probe's records."""
    work, records = patient.work, patient.probe_records
    begun = _full(patient) if work.spec.is_full else adapter_to_train(work, None)
    asked = begun.bank[begun.handle]
    trainee = begun if work.spec.is_full else _rested(begun)
    whole = one_step_job(work, patient.prepared, trainee)
    job = replace(
        whole,
        records=records,
        lengths=[len(record.tokens_T) for record in records],
        mixture=evenly(len(records)),
        spec=_cut(whole.spec, len(records), 1),
    )
    trainee.ready(job.optimizer)
    return Probe(job=job, trainee=trainee, asked=asked)


def probed(probe: Probe, clock: Clock) -> Probed:
    """Look at the gradients of a probe, whose adapter moves by one step."""
    job, is_full = probe.job, not probe.adapter.placed
    before = None if is_full else probe.bank.base.tensor_digest()
    first = _norms(gradients(job))
    set_rate(job.optimizer, job.spec.learning_rate)
    job.optimizer.step()
    one_by_one = gradients(_as(job, 1, "rows"))
    cuts = {name: _apart(one_by_one, gradients(cut)) for name, cut in _cuts(job).items()}
    began_s = clock()
    gradients(job)
    seconds = clock() - began_s
    job.optimizer.zero_grad(set_to_none=True)
    return Probed(
        first=first,
        second=_norms(one_by_one),
        cuts=cuts,
        base_moved=None if is_full else probe.bank.base.tensor_digest() != before,
        seconds=seconds,
    )


def gradients(job: TrainJob) -> dict[str, Tensor | None]:
    """What its records say, by the names of what it trains; without what its settings add, such as a penalty."""
    while True:
        job.optimizer.zero_grad(set_to_none=True)
        step = step_of(job, 0)
        for index in range(len(step.micros)):
            accumulated([Part(job, step, index)])
        if unscale(job.scale, job.params.values()):  # else it overflowed, and is tried again at a smaller scale
            break
    return {name: None if p.grad is None else p.grad.detach().clone() for name, p in job.params.items()}


def logits(bank: AdapterBank, row: tuple[Handle, ...], probe: Probe) -> Tensor:
    """What `row` foretells at every target of the probe's records: logits_PV."""
    batch, split = collate(list(probe.job.records)).to(bank.host.device), probe.job.split
    predicting_BT = batch.is_target_BT[:, 1:]
    with torch.no_grad(), bank.route([row] * len(batch.tokens_BT)):
        foretold: Tensor = split.logits_of(split.hidden_BTH(batch.tokens_BT)[:, :-1][predicting_BT])
    return foretold


def apart_frac(told: Tensor, other: Tensor) -> float:
    """How far two tensors are from each other, as a share of the first; 0 only where every bit is the same."""
    if torch.equal(told, other):
        return 0.0
    wide, others = told.double(), other.double()
    return float((wide - others).norm() / wide.norm().clamp(min=1e-300))


def _rested(trainee: Trainee) -> Trainee:
    bank = trainee.bank
    handle = bank.add(at_rest(bank[trainee.handle]), name="probe")
    bank.remove(trainee.handle)
    return replace(trainee, handle=handle)


def _full(patient: Patient) -> Trainee:
    work, spec = patient.work, patient.work.spec
    own = load_base(str(work.base_folder), dtype=spec.dtype, device=work.device, attention=spec.attention)
    return to_train(work, own.called(spec.base))


def _cuts(job: TrainJob) -> dict[str, TrainJob]:
    """The ways in which a step of all records can be cut, but one by one; none for a single record."""
    num, layouts = len(job.records), _layouts(job)
    sizes = [size for size in range(2, num + 1) if num % size == 0]
    told = {"rows": "padded rows", "groups": "end to end", "packed": "packed"}
    return {f"{size} at a time, {told[lay]}": _as(job, size, lay) for lay in layouts for size in sizes}


def _layouts(job: TrainJob) -> list[Layout]:
    return ["rows"] if job.layout == "rows" else ["rows", job.layout]


def _as(job: TrainJob, size: int, layout: Layout) -> TrainJob:
    return replace(job, spec=_cut(job.spec, size, len(job.records) // size), layout=layout)


def _cut(spec: TrainSpec, size: int, passes: int) -> TrainSpec:
    packing = spec.packing if isinstance(spec.packing, str) else "auto"  # rows of tokens would cut by themselves
    return parse(TrainSpec, {**plain(spec), "batch_size": size, "accumulation": passes, "packing": packing})


def _norms(found: Mapping[str, Tensor | None]) -> dict[str, float | None]:
    return {name: None if g is None else float(g.double().norm()) for name, g in found.items()}


def _apart(told: Mapping[str, Tensor | None], other: Mapping[str, Tensor | None]) -> float:
    """As `apart_frac`, of all tensors together."""
    squares = of_told = 0.0
    for name, gradient in told.items():
        beside = other[name]
        if gradient is None or beside is None:
            continue
        squares += float((gradient.double() - beside.double()).square().sum())
        of_told += float(gradient.double().square().sum())
    return sqrt(squares / of_told) if of_told else 0.0
