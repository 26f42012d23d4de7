"""Attention of a group of packed records: each sees itself, and what all of the group begin with.

On a CPU it is computed in pieces with a backward pass of its own (`base.record_attention`), where all that the base
says about its attention is understood; else record by record by the base's own.

Legend: B rows (one), T tokens, S keys, H heads of queries, K heads of keys, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from graftwork.base.record_attention import attend, cut_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from graftwork.adapters.route import Group
    from graftwork.adapters.sites.watched import Attention

NEUTRAL = ("position_ids", "use_cache", "is_causal")
"""Options that change nothing here: positions are in queries and keys, there is no cache, and that it is causal is
looked at by `causal_if_unmasked`."""
HALVES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Asked:
    """Plain attention: all there is to know about it."""

    scale: float
    window: int | None


def of_records(call: Attention, group: Group, scratch: dict[Any, Any]) -> Tensor:
    """Output_BTHD of a group, `call` being about its tokens alone.

    Args:
        scratch: of the route; what many layers have in common is kept there.
    """
    asked = understood(call)
    if asked is None or not _pays(call, group):
        return torch.cat([one.answered()[0] for one in one_by_one(call, group, scratch)], dim=1)
    heads = call.query_BHTD.shape[1], call.key_BKSD.shape[1]
    told = "cut", group, asked.window, heads, call.query_BHTD.dtype
    if told not in scratch:
        scratch[told] = cut_for(call.query_BHTD, call.key_BKSD, group.lengths, shared=group.shared, window=asked.window)
    return attend(call.query_BHTD, call.key_BKSD, call.value_BKSD, scratch[told], scale=asked.scale)


def understood(call: Attention) -> Asked | None:
    """What `call` asks, if it is plain causal attention on a CPU, all of whose options are known; None else."""
    tensors = call.query_BHTD, call.key_BKSD, call.value_BKSD
    plain = (
        call.causal_if_unmasked
        and not call.mask_is_added
        and all(tensor.device.type == "cpu" and tensor.dtype == tensors[0].dtype for tensor in tensors)
        and call.query_BHTD.shape[1] % call.key_BKSD.shape[1] == 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
    told = {name: said for name, said in call.options.items() if said is not None and name not in NEUTRAL}
    scale, window = told.pop("scaling", call.query_BHTD.shape[-1] ** -0.5), told.pop("sliding_window", None)
    if not plain or told.pop("dropout", 0.0) or told.pop("output_attentions", False) or told:
        return None
    return Asked(float(scale), window)


def _pays(call: Attention, group: Group) -> bool:
    """Whether pieces are faster than the base's own attention. Forward and backward of records of 20 to 1024 tokens
    took 0.2 to 0.8 of its time in bfloat16, but in float32, where nothing is shared, 0.8 to 2.1 of it."""
    return call.query_BHTD.dtype in HALVES or group.shared > 0


def one_by_one(call: Attention, group: Group, scratch: dict[Any, Any]) -> Iterator[Attention]:
    """What lies in front as a record of its own, then each record behind it."""
    sizes, shared = [*([group.shared] if group.shared else []), *group.lengths], group.shared
    tensors = (call.query_BHTD, call.key_BKSD, call.value_BKSD)
    parts = list(zip(*(tensor.split(sizes, dim=2) for tensor in tensors), strict=True))
    _, *front = parts[0] if shared else (None,)
    for number, (query, key, value) in enumerate(parts):
        if front and number:
            key, value = (torch.cat(both, dim=2) for both in zip(front, (key, value), strict=True))
        alone = replace(call, query_BHTD=query, key_BKSD=key, value_BKSD=value, mask=None)
        yield replace(alone, mask=_own_mask(alone, scratch))


def _own_mask(call: Attention, scratch: dict[Any, Any]) -> Tensor | None:
    """What a record's tokens, the last of its keys, see of it; None where no mask says just that. One mask serves many
    layers."""
    num_tokens, num_keys = call.query_BHTD.shape[2], call.key_BKSD.shape[2]
    window = call.options.get("sliding_window")
    sees = num_keys if window is None else min(window, num_keys)
    if sees == num_keys and (num_tokens == 1 or (call.causal_if_unmasked and num_tokens == num_keys)):
        return None
    told = "mask", num_tokens, num_keys, sees, call.mask_is_added, call.query_BHTD.dtype, call.query_BHTD.device
    if told not in scratch:
        behind = num_keys - num_tokens
        seen_TS = torch.ones(num_tokens, num_keys, dtype=torch.bool, device=call.query_BHTD.device).tril(behind)
        seen_TS = seen_TS.triu(behind + 1 - sees)
        dtype = call.query_BHTD.dtype
        shut_TS = torch.zeros_like(seen_TS, dtype=dtype).masked_fill(~seen_TS, torch.finfo(dtype).min)
        scratch[told] = (shut_TS if call.mask_is_added else seen_TS)[None, None]
    mask: Tensor = scratch[told]
    return mask
