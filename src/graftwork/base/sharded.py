"""A frozen base spread over processes: each holds a part of every layer, and a layer is whole while it computes.

What a layer computes does not change by a bit. Embeddings, the last norm and the head stay whole everywhere: the head
is asked in pieces, and often is the table of the embeddings.

Source: FSDP2, `torch.distributed.fsdp.fully_shard`, https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
Departs from it: nothing of the base is trained, so no gradient is scattered; the model around the layers is no part.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from graftwork.core.errors import Problem, SpecError


def shard(model: nn.Module, device: torch.device) -> None:
    """Spread the layers of `model` over all processes of torch.distributed, each of which calls this.

    Args:
        device: where it is to compute. A model that lies elsewhere goes there layer by layer, never whole.

    Raises:
        SpecError: it has no layers of the usual kind.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    layers = layers_of(model)
    if not layers:
        raise SpecError([Problem("--shard-base", type(model).__name__, "a base of transformer layers")])
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)  # else each, as its own root, would stay whole
    model.to(device)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The transformer layers."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
