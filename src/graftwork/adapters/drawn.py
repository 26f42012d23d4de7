"""Dropout drawn by counter: what is dropped at a place follows from a seed and the place's name.

It does not depend on what was drawn before, so it is the same whatever else is in the batch, and when a forward pass is
made again.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import dropout


def generator(seed: int, name: str, device: torch.device) -> torch.Generator:
    """What is drawn at the place `name`."""
    told = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(told[:8], "little") >> 1)


def dropped(x: Tensor, share: float, draw: torch.Generator | None) -> Tensor:
    """`x` with a share of its numbers zeroed and the others raised by as much; drawn from torch's own state without a
    generator."""
    if draw is None:
        return dropout(x, share)
    kept = torch.empty_like(x, requires_grad=False).bernoulli_(1 - share, generator=draw)
    return x * kept.mul_(1 / (1 - share))
