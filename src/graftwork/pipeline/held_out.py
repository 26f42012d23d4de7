"""Looks at the held-out records while training: always the same ones, the base's loss once and then the adapter's.

What was seen lies in every checkpoint, so that a run that was killed decides as one that was not. Neither dropout nor
the random numbers of the training are touched: with looks or without, the same adapter comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from heapq import nsmallest
from math import isfinite
from pathlib import Path
from typing import Any

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.route import Group
from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError, WorkError
from graftwork.data.encode import Encoded
from graftwork.data.shared import Laid
from graftwork.data.store import TokenStore
from graftwork.evaluation.estimate import ratio_of
from graftwork.evaluation.held_out import laid_nats, record_nats
from graftwork.training.averaging import settled
from graftwork.training.checkpoints import Beside, restore_step
from graftwork.training.job import TrainJob
from graftwork.training.memory import checkpoint_activations, keep_activations
from graftwork.training.passes import APART
from graftwork.training.stopping import Look, LookPlan, best_of, look_plan

ROWS = 16
"""Most rows of a forward pass; fewer when the training takes fewer, whose memory is known to suffice."""
NOTED = "held_out"


@dataclass(kw_only=True, eq=False, slots=True)
class Looks:
    """The looks of one training.

    Attributes:
        base_nats: summed loss of each record without the adapter; empty until the first look.
        losses_L: nats per target token at each look so far.
    """

    job: TrainJob
    plan: LookPlan
    records: Sequence[Encoded]
    base_nats: list[float] = field(default_factory=list)
    losses_L: list[float] = field(default_factory=list)

    def begin(self, noted: Mapping[str, Any]) -> None:
        """Take back what a checkpoint says of them, or look at the base.

        Looks at other records than these say nothing. None depends on them then: if what is held out decides about the
        adapter, it is part of the job, and other records are another job.
        """
        told = noted.get(NOTED, {})
        is_same = told.get("records") == self._records_digest
        self.losses_L = list(told["losses"]) if is_same else []
        self.base_nats = list(told["base_nats"]) if is_same else self._nats(None)

    def take(self, step: int) -> Look:
        """Look.

        Raises:
            WorkError: the held-out loss is not finite any more.
        """
        with settled(self.job.averages):
            nats = self._nats((*self.job.below, self.job.handle))
        targets = [record.num_targets for record in self.records]
        loss, base = sum(nats) / sum(targets), sum(self.base_nats) / sum(targets)
        if not isfinite(loss):
            raise WorkError(
                f"step {step}: held-out loss {loss}; it must be finite. Lower training.learning_rate. "
                "The last checkpoint is kept."
            )
        change = ratio_of([now - before for now, before in zip(nats, self.base_nats, strict=True)], targets)
        self.losses_L.append(loss)
        return Look(
            step=step,
            adapter_nats=loss,
            base_nats=base,
            change_stderr=change.stderr,
            num_records=len(self.records),
            is_best=best_of(self.losses_L) == len(self.losses_L) - 1,
        )

    @property
    def is_enough(self) -> bool:
        """Whether the training ends here, before its last step."""
        return self.plan.is_enough(self.losses_L)

    @property
    def best_step(self) -> int | None:
        """The step whose adapter is the one to write so far; None when that is always the last."""
        return self.plan.step_of(best_of(self.losses_L)) if self.plan.keeps_best and self.losses_L else None

    @property
    def noted(self) -> dict[str, Any]:
        """What a checkpoint says of them."""
        told = {"records": self._records_digest, "base_nats": self.base_nats, "losses": self.losses_L}
        return {NOTED: told}

    @property
    def _records_digest(self) -> str:
        return digest([[*map(int, one.tokens_T), *map(int, one.is_target_T)] for one in self.records])

    def _nats(self, owner: tuple[Handle, ...] | None) -> list[float]:
        """Summed loss of each record, answered by `owner`; its records lie as they do in the training."""
        job, size = self.job, min(ROWS, self.job.spec.batch_size)
        bank, device = job.bank, job.bank.base.device
        with _without_recomputing(job):
            if job.layout != "groups":
                routed = partial(_rows_by, bank, owner)
                return record_nats(job.split, self.records, routed, batch_size=size, device=device)
            sites = {here.method.site for handle in job.row for here in bank[handle].placed.values()}
            laid = partial(laid_nats, job.split, routed=partial(_laid_by, bank, owner), device=device)
            parts = (self.records[at : at + size] for at in range(0, len(self.records), size))
            return [nats for part in parts for nats in laid(part, shares=not sites & APART)]


def looks_of(job: TrainJob, held_out: TokenStore) -> Looks | None:
    """The looks of a training, none taken yet; None when the recipe wants none."""
    plan = look_plan(job.spec, num_steps=job.num_steps, num_held_out=len(held_out))
    if plan is None:
        return None
    return Looks(job=job, plan=plan, records=[held_out[i] for i in chosen(held_out, plan.num_records)])


def chosen(held_out: TokenStore, num_records: int) -> list[int]:
    """Which records are looked at: those with the lowest digests, whatever their order; the same in any run."""
    told = (
        (sha256(one.tokens + one.targets).digest(), i) for i in range(len(held_out)) for one in [held_out.packed(i)]
    )
    return sorted(i for _, i in nsmallest(num_records, told))


def put_best_back(looks: Looks, folder: Path, job_digest: str, beside: Beside) -> None:
    """Make the adapter of the best look the one that is there, if that is the one to keep.

    Raises:
        IntegrityError: its checkpoint is not whole any more.
    """
    step, job = looks.best_step, looks.job
    if step is None:
        return
    try:
        restore_step(folder, step, job=job_digest, params=job.params, optimizer=job.optimizer, beside=beside)
    except IntegrityError as error:
        raise IntegrityError(f"{error} It held the best adapter. Remove {folder} to train it again.") from error


@contextmanager
def _without_recomputing(job: TrainJob) -> Iterator[None]:
    """Nothing goes back through a look, so no activation has to be computed twice."""
    if job.spec.gradient_checkpointing:
        keep_activations(job.bank)
    try:
        yield
    finally:
        if job.spec.gradient_checkpointing:
            checkpoint_activations(job.bank)


def _rows_by(bank: AdapterBank, owner: tuple[Handle, ...] | None, num_rows: int) -> AbstractContextManager[object]:
    return bank.route([owner] * num_rows)


def _laid_by(bank: AdapterBank, owner: tuple[Handle, ...] | None, laid: Laid) -> AbstractContextManager[object]:
    return bank.route_groups([(owner, Group(laid.lengths, laid.shared))])
