"""Checkpoints: everything a run needs to go on; the newest are kept, and the best one as long as it is the best.

After each save the newest `keep` and the one of `best_step` are there, all else is dropped. Which one is the best is
told in the checkpoint itself, so state and verdict are written, or lost, together.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graftwork.core.errors import CapacityError, IntegrityError, WorkError
from graftwork.core.units import bytes_text
from graftwork.training.checkpoint_file import (
    UNREADABLE,
    Skipped,
    checkpoints_in,
    clear_torn,
    path_of,
    read_checkpoint,
    read_told,
    skipped,
    write_checkpoint,
)

KEPT = 2
"""Checkpoints kept, newest first: one more than needed, should the newest be damaged."""

TOLD_BYTES = 256
"""About what a file says of each tensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What a run needs to go on beside what its optimizer trains.

    Attributes:
        kept: tensors of the adapter that are not trained, by name; they may change between steps.
        states: what the adapter's evolving parts remember, tensors by name, by part.
    """

    kept: dict[str, Tensor] = field(default_factory=dict)
    states: Mapping[str, dict[str, Tensor]] = field(default_factory=dict)


ALONE = Beside()
"""Nothing beside what is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """What is kept of the checkpoints before, and what this one says beside its tensors.

    Attributes:
        newest: so many of the newest stay, this one included.
        best_step: the step whose state is the best so far; its checkpoint stays too. None when nobody judges.
        noted: plain data that whoever trains wants back when the run goes on, by name.
        computing: what the steps were computed with, by name: threads, version of the library.
    """

    newest: int = KEPT
    best_step: int | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    computing: Mapping[str, Any] = field(default_factory=dict)


UNJUDGED = Keeping()
"""The newest, and no state is said to be the best."""


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    job: str,
    params: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    beside: Beside = ALONE,
    keeping: Keeping = UNJUDGED,
) -> Path:
    """Write the state after `step` steps of the job with digest `job`, and drop older ones that need not be kept.

    Raises:
        WorkError: the disk is full, or the folder cannot be written; the checkpoints before are as they were.
    """
    named = {f"param/{name}": tensor for name, tensor in (params | beside.kept).items()}
    named |= {_evolution(p, name): tensor for p, state in beside.states.items() for name, tensor in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}
    for name, tensor in params.items():
        for key, value in optimizer.state[tensor].items():
            tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    path = path_of(folder, step)
    write_checkpoint(path, tensors, {"step": step, "job": job, **_said(keeping)})
    _drop_older(path, keeping)
    return path


def restore_newest(
    folder: Path,
    *,
    job: str,
    params: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    beside: Beside = ALONE,
) -> tuple[int, list[Skipped]]:
    """Put the newest whole checkpoint of `job` into `params`, `optimizer` and what lies beside them.

    Returns:
        Steps done (0 when no checkpoint is whole), and the newer ones that had to be passed over.
    """
    passed = []
    clear_torn(folder)
    for path in reversed(checkpoints_in(folder)):
        try:
            told, tensors = read_checkpoint(path, job)
            _refuse_what_does_not_fit(tensors, params, beside)
            _put(tensors, params, optimizer, beside)
        except UNREADABLE as error:
            passed.append(skipped(path, error))
            continue
        return told["step"], passed
    return 0, passed


def restore_step(
    folder: Path,
    step: int,
    *,
    job: str,
    params: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    beside: Beside = ALONE,
) -> None:
    """Put the checkpoint of `step`, the best one say, into `params`, `optimizer` and what lies beside them.

    Raises:
        IntegrityError: it is not there, or not whole; nothing is changed then.
    """
    path = path_of(folder, step)
    try:
        _, tensors = read_checkpoint(path, job)
        _refuse_what_does_not_fit(tensors, params, beside)
    except UNREADABLE as error:
        raise IntegrityError(f"{path} cannot be used: {skipped(path, error).reason}") from error
    _put(tensors, params, optimizer, beside)


def said_at(folder: Path, step: int) -> Keeping:
    """What the checkpoint of `step`, which has just been restored, says beside its tensors; nothing at step 0."""
    if step == 0:
        return UNJUDGED
    told = read_told(path_of(folder, step))
    return Keeping(best_step=told.get("best_step"), noted=told.get("noted", {}), computing=told.get("computing", {}))


def refuse_unwritable(folder: Path, params: Mapping[str, Tensor], beside: Beside = ALONE) -> None:
    """Refuse a place where no checkpoint could be written, before a step is spent on one.

    Raises:
        WorkError: the folder cannot be written.
        CapacityError: less room is left there than one checkpoint takes.
    """
    probe = folder / ".step-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_torn(folder)
        probe.write_bytes(b"whether a checkpoint can be written here")
        probe.unlink()
    except OSError as error:
        why = f"no checkpoint could be written to {folder}: {error.strerror or error}"
        raise WorkError(
            f"{why}. Nothing was trained; give another folder with --out, or make this one writable."
        ) from error
    needed, free = checkpoint_bytes(params, beside), shutil.disk_usage(folder).free
    if free < needed:
        raise CapacityError(
            f"a checkpoint takes {bytes_text(needed)}, and {folder} has room for {bytes_text(free)}. "
            "Nothing was trained; make room there, or give another folder with --out."
        )


def checkpoint_bytes(params: Mapping[str, Tensor], beside: Beside = ALONE) -> int:
    """Bytes of one checkpoint file, or few more: what is trained with Adam's two moments, and what lies beside it."""
    states = [tensor for state in beside.states.values() for tensor in state.values()]
    tensors = [*beside.kept.values(), *states, *3 * list(params.values())]
    return sum(tensor.nbytes + TOLD_BYTES for tensor in tensors)


def _said(keeping: Keeping) -> dict[str, Any]:
    """Nothing of what nobody said, so that such a file reads the same as ever."""
    best = {} if keeping.best_step is None else {"best_step": keeping.best_step}
    also = {"noted": dict(keeping.noted), "computing": dict(keeping.computing)}
    return {**best, **{name: value for name, value in also.items() if value}}


def _drop_older(path: Path, keeping: Keeping) -> None:
    older = [p for p in checkpoints_in(path.parent) if p < path]
    best = None if keeping.best_step is None else path_of(path.parent, keeping.best_step)
    for old in older[: max(0, len(older) - (keeping.newest - 1))]:
        if old != best:
            old.unlink()


def _refuse_what_does_not_fit(tensors: Mapping[str, Tensor], params: dict[str, Tensor], beside: Beside) -> None:
    """All of it is looked at before anything is changed."""
    needed = {f"param/{name}": tuple(tensor.shape) for name, tensor in (params | beside.kept).items()}
    for name, param in params.items():
        needed |= {f"optimizer/{key}/{name}": tuple(param.shape) for key in ("exp_avg", "exp_avg_sq")}
        needed[f"optimizer/step/{name}"] = ()
    for part, state in beside.states.items():
        needed |= {_evolution(part, name): tuple(tensor.shape) for name, tensor in state.items()}
    for name, shape in needed.items():
        if name not in tensors or tensors[name].shape != shape:
            raise ValueError(f"it holds no {name} of the shape {shape}")


def _put(
    tensors: Mapping[str, Tensor], params: dict[str, Tensor], optimizer: torch.optim.Optimizer, beside: Beside
) -> None:
    states = {name: dict(_state_of(name, tensors)) for name in params}
    with torch.no_grad():
        for name, tensor in (params | beside.kept).items():
            tensor.copy_(tensors[f"param/{name}"])
        for name, param in params.items():
            optimizer.state[param] = {
                key: value if value.ndim == 0 else value.to(param.device) for key, value in states[name].items()
            }
        for part, state in beside.states.items():
            for name, tensor in state.items():
                tensor.copy_(tensors[_evolution(part, name)])


def _evolution(part: str, name: str) -> str:
    return f"evolution/{part}/{name}"


def _state_of(name: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key in ("step", "exp_avg", "exp_avg_sq"):
        yield key, tensors[f"optimizer/{key}/{name}"]
