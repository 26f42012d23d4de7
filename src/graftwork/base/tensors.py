"""Tensors as content: what names them is their type, shape and bytes."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from graftwork.core.digests import digest, digest_of_chunks
from graftwork.core.files import replacing

if sys.byteorder != "little":  # digests are over little-endian bytes, as safetensors stores them
    raise ImportError("graftwork needs a little-endian machine")


def digest_of_tensor(tensor: Tensor) -> str:
    """SHA-256, in hex, of a tensor's type, shape and bytes, wherever it lies."""
    flat = whole(tensor).detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return digest_of_chunks([repr((str(tensor.dtype), tuple(tensor.shape))).encode(), flat.numpy().data])


def digest_of_tensors(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """One digest for named tensors, whatever their order."""
    return digest({name: digest_of_tensor(tensor) for name, tensor in tensors})


def whole(tensor: Tensor) -> Tensor:
    """`tensor`, or what its parts in several processes make together; then each of them must ask."""
    if "torch.distributed.tensor" not in sys.modules:
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, str]) -> None:
    """Write a safetensors file that is there whole or not at all, straight from the tensors, without a copy in memory.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            save_file(dict(tensors), temporary, metadata=dict(told))
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise
