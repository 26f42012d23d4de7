"""How a step is cut where the recipe leaves it open (`accumulation: auto`): measured once, then the same for ever.

The measurement is made in a process of its own, which may run out of memory without harm. What was found lies in the
run's folder and in its effective recipe, so that the run goes on, and is repeated anywhere, with the same cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.digests import digest
from graftwork.core.errors import CapacityError, IntegrityError, WorkError
from graftwork.core.files import read_json, write_json
from graftwork.core.memory import available_bytes
from graftwork.core.spec import parse, plain
from graftwork.core.units import bytes_text
from graftwork.core.workers import Workers, usable_cores
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.recipes import effective_text
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.train_inputs import mixture_of, train_inputs
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work, prepared_tokens

if TYPE_CHECKING:
    from graftwork.pipeline.begin import Trainee
    from graftwork.pipeline.stages import Stage
    from graftwork.training.job import TrainJob

FOUND = "fit.json"
KILLED = "ended with -9"
"""What is said of a process that the system ended: it does so when no memory is left."""


def fitted(work: Work, prepared: Done, stage: Stage | None) -> Work:
    """The same work with a step cut in numbers; the measurement is made if it is not there already.

    Raises:
        CapacityError: not even one record fits into memory.
    """
    if work.spec.training.accumulation != "auto":
        return work
    inputs = digest(train_inputs(work, prepared, stage))
    size = _known(work, inputs) or _measured(work, prepared, stage, inputs)
    cut = {"batch_size": size, "accumulation": work.spec.training.batch_size // size}
    asked = plain(work.spec)
    spec = parse(RunSpec, {**asked, "training": {**plain(work.spec.training), **cut}})
    work.folder.keep_recipe(effective_text(spec))
    return replace(work, spec=spec)


def _known(work: Work, inputs: str) -> int | None:
    path = work.folder.path / FOUND
    if not path.is_file():
        return None
    told: Any = read_json(path)
    if not isinstance(told, dict) or told.get("inputs") != inputs:
        return None
    size = told.get("batch_size")
    if not isinstance(size, int) or size < 1 or work.spec.training.batch_size % size:
        raise IntegrityError(f"{path} is not as it was written. Remove it; the measurement is made again.")
    return size


def _measured(work: Work, prepared: Done, stage: Stage | None, inputs: str) -> int:
    from graftwork.training.probe import SHARE, largest_fitting, sizes_for

    room = _room(work)
    limit = int(SHARE * room)
    work.watch.say(f"measuring how many records fit into {bytes_text(limit)} ({SHARE:.0%} of what is free)")
    given = (work.spec, work.folder.path, work.device, prepared, stage)
    with Workers(1, prober, given) as child:
        peaks = largest_fitting(sizes_for(work.spec.training.batch_size), _asked(child), limit)
    if not peaks:
        hint = "Lower data.max_tokens, set training.gradient_checkpointing to true, or take quantised: int8."
        raise CapacityError(f"one record does not fit into {bytes_text(limit)} of memory. {hint}")
    size, peak = list(peaks.items())[-1]
    work.watch.say(f"{size} of {work.spec.training.batch_size} records fit into a pass: {bytes_text(peak)} at the peak")
    told = {"batch_size": size, "limit_bytes": limit, "peak_bytes": {str(k): v for k, v in peaks.items()}}
    write_json(work.folder.path / FOUND, {"inputs": inputs, **told})
    return size


def _room(work: Work) -> int:
    if work.device == "cpu":
        room = available_bytes()
        if room is None:
            raise WorkError("nothing says how much memory is free here. Set training.accumulation to a number.")
        return room
    import torch

    return torch.cuda.mem_get_info(torch.device(work.device))[0]


def _asked(child: Workers[int, int]) -> Callable[[int], int | None]:
    def peak_of(size: int) -> int | None:
        try:
            return next(iter(child.ordered([size])))
        except CapacityError:
            return None
        except WorkError as error:
            if KILLED not in str(error):
                raise
            return None

    return peak_of


def prober(spec: RunSpec, folder: Path, device: str, prepared: Done, stage: Stage | None) -> Callable[[int], int]:
    """What the child does: a step of so many of the longest records, and its peak in bytes."""
    import torch

    from graftwork.pipeline.begin import adapter_to_train
    from graftwork.training.probe import peak_of_step

    torch.set_num_threads(usable_cores())
    work = Work(spec=spec, folder=RunFolder(folder), watch=Quiet(), device=device)
    job = one_step_job(work, prepared, adapter_to_train(work, stage))
    return lambda size: peak_of_step(job, size)


def one_step_job(work: Work, prepared: Done, trainee: Trainee) -> TrainJob:
    """As `begin` makes it, without its checkpoints and looks."""
    from graftwork.training.averaging import averages_of
    from graftwork.training.job import TrainJob, layout_of
    from graftwork.training.memory import checkpoint_activations
    from graftwork.training.optimizers import optimizer_for
    from graftwork.training.scaling import loss_scale_for

    bank, told = trainee.bank, work.spec.training
    records = prepared_tokens(work, "train", prepared.summary)
    if told.gradient_checkpointing:
        checkpoint_activations(bank)
    return TrainJob(
        bank=bank,
        handle=trainee.handle,
        split=bank.base.halves,
        params=trainee.params,
        optimizer=optimizer_for(trainee.params, told),
        records=records,
        lengths=records.lengths.tolist(),
        mixture=mixture_of(work, records),
        spec=told,
        num_steps=1,
        below=tuple(trainee.below),
        loss=trainee.loss,
        averages=averages_of(trainee.params, told.ema_decay),
        scale=loss_scale_for(bank.base.model.dtype),
        layout=layout_of(bank, told),
    )
