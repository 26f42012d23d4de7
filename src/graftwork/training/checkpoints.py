"""Checkpoints: everything a run needs to go on, in one checksummed file that is there whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from graftwork.base.load import first_line
from graftwork.base.tensors import digest_of_tensors
from graftwork.core.digests import digest
from graftwork.core.files import write_bytes

KEPT = 2
"""Checkpoints kept, newest first: one more than needed, should the newest be damaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A checkpoint that cannot be used, and why."""

    path: Path
    reason: str


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


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    job: str,
    params: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    beside: Beside = ALONE,
) -> Path:
    """Write the state after `step` steps of the job with digest `job`, and drop the oldest beyond KEPT."""
    named = {f"param/{name}": tensor for name, tensor in (params | beside.kept).items()}
    named |= {_evolution(p, name): tensor for p, state in beside.states.items() for name, tensor in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}
    for name, tensor in params.items():
        for key, value in optimizer.state[tensor].items():
            tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    state = {"format": 1, "step": step, "job": job, "digest": _digest(tensors, step, job)}
    path = folder / f"step-{step:08d}.safetensors"
    write_bytes(path, save(tensors, metadata={"graftwork": json.dumps(state)}))
    for old in sorted(p for p in folder.glob("step-*.safetensors") if p < path)[: -(KEPT - 1)]:
        old.unlink()
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
    skipped = []
    for torn in folder.glob(".step-*"):  # what a killed process was writing when it died
        torn.unlink()
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            step, tensors = _read(path, job)
            _refuse_what_does_not_fit(tensors, params, beside)
            _put(tensors, params, optimizer, beside)
        except (SafetensorError, ValueError, OSError) as error:
            skipped.append(Skipped(path=path, reason=first_line(error)))
            continue
        return step, skipped
    return 0, skipped


def _read(path: Path, job: str) -> tuple[int, dict[str, Tensor]]:
    with safe_open(path, "pt") as file:
        state = json.loads((file.metadata() or {}).get("graftwork", "null"))
        if not isinstance(state, dict) or not state.keys() >= {"step", "job", "digest"}:
            raise ValueError("it is no checkpoint of ours")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    if state["job"] != job:
        raise ValueError(f"it belongs to another job ({str(state['job'])[:12]})")
    if _digest(tensors, state["step"], job) != state["digest"]:
        raise ValueError("its bytes are not the ones that were written")
    return state["step"], tensors


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


def _digest(tensors: Mapping[str, Tensor], step: int, job: str) -> str:
    return digest({"step": step, "job": job, "tensors": digest_of_tensors(tensors.items())})
