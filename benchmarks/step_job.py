"""Jobs whose steps are measured in this process: the task of `training.py`, or any records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training_task import BASE, Task, prepared, write_recipe

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.base.load import DtypeName, load_base
from graftwork.core.spec import parse
from graftwork.data.batches import evenly
from graftwork.data.collate import Batch
from graftwork.data.encode import Encoded
from graftwork.training.job import TrainJob, layout_of
from graftwork.training.optimizers import optimizer_for
from graftwork.training.passes import step_of
from graftwork.training.spec import TrainSpec


def job_of(task: Task, folder: Path, *, batch_size: int, packing: str, dtype: DtypeName, num_steps: int) -> TrainJob:
    """The training of `task`: in micro-batches of `batch_size`, or in rows of so many tokens."""
    records = prepared(write_recipe(task, folder, num_steps), folder / "run")
    adapter = {"rank": task.rank, "alpha": task.alpha, "targets": ["all"]}
    asked = {
        "batch_size": batch_size,
        "accumulation": task.per_step // batch_size,
        "learning_rate": task.learning_rate,
        "packing": packing_of(packing),
        "seed": task.seed,
    }
    return job_on(records, adapter, asked, dtype=dtype, num_steps=num_steps)


def job_on(
    records: Sequence[Encoded],
    adapter: Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    num_steps: int,
    dtype: DtypeName = "bfloat16",
) -> TrainJob:
    """A LoRA as `adapter` asks, on the bundled base, trained on all `records` as `training` asks."""
    spec = parse(TrainSpec, training)
    base = load_base(BASE, dtype=dtype)
    bank = AdapterBank(base)
    handle = bank.fresh(parse(LoraSpec, adapter), seed=spec.seed)
    params = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
    return TrainJob(
        bank=bank,
        handle=handle,
        split=base.halves,
        params=params,
        optimizer=optimizer_for(params, spec),
        records=records,
        lengths=[len(record.tokens_T) for record in records],
        mixture=evenly(len(records)),
        spec=spec,
        num_steps=num_steps,
        layout=layout_of(bank, spec),
    )


def packing_of(told: str) -> object:
    """auto, off, or the tokens of a row, as the recipe has it."""
    return {"row_tokens": int(told)} if told.isdecimal() else told


def sizes_of(job: TrainJob) -> list[tuple[int, int]]:
    """Of each forward pass of its first step: tokens that are computed, and targets."""
    return [
        (micro.tokens_BT.numel(), micro.num_targets)
        if isinstance(micro, Batch)
        else (len(micro.tokens_N), len(micro.targets_P))
        for micro in step_of(job, 0).micros
    ]
