"""What a forward pass keeps for its way back, counted tensor by tensor, and what is held before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from graftwork.pipeline.doctor.probe import gradients

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.pipeline.doctor.probe import Probe


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Memory of a training, in bytes.

    Attributes:
        activation_bytes: kept by a pass over the probe's records; no storage counted twice, none of base or adapter.
        held_bytes: taken when no pass is under way.
        free_bytes: that the device still has; None where that is the machine's own memory.
    """

    activation_bytes: int
    held_bytes: int
    free_bytes: int | None


def footprint(probe: Probe) -> Footprint:
    """Of a probe whose optimizer has made a step, so that its moments are there."""
    seen = {p.untyped_storage().data_ptr() for p in _standing(probe)}
    found: dict[int, int] = {}

    def counted(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(counted, lambda tensor: tensor):
        gradients(probe.job)
    probe.job.optimizer.zero_grad(set_to_none=True)
    device = probe.bank.host.device
    trained = sum(p.numel() * p.element_size() for p in probe.job.params.values())
    if device.type == "cuda":
        held, free = torch.cuda.memory_allocated(device), torch.cuda.mem_get_info(device)[0]
        return Footprint(activation_bytes=sum(found.values()), held_bytes=held + trained, free_bytes=free)
    return Footprint(activation_bytes=sum(found.values()), held_bytes=_resident_bytes() + trained, free_bytes=None)


def _standing(probe: Probe) -> list[Tensor]:
    of_adapters = [tensor for handle in probe.job.row for _, tensor in probe.bank[handle].tensors()]
    return [*probe.bank.host.model.parameters(), *probe.bank.host.model.buffers(), *of_adapters]


def _resident_bytes() -> int:
    """Of this process; Linux alone says."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * 4096
