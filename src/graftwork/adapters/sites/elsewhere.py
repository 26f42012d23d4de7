"""For attention whose keys and values are kept elsewhere: a say at every layer, and what lies in front as plain keys.

Legend: P positions in front, K heads of keys, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.route import Route, Segment
from graftwork.adapters.sites.context import asked_in_front, left_by
from graftwork.adapters.sites.groups import kept_apart, refuse_unless_apart

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Owner


@dataclass(frozen=True, slots=True)
class Front:
    """What an owner has in front of the tokens.

    Attributes:
        left: key_PKD and value_PKD by attention module; nothing where nothing lies in front.
    """

    num_positions: int
    left: Mapping[str, tuple[Tensor, Tensor]]


@contextmanager
def kept_elsewhere(bank: AdapterBank) -> Iterator[None]:
    """Inside, `Route.elsewhere` is asked at every layer. Raises SpecError as `AdapterBank.route_groups` does."""
    refuse_unless_apart(bank)
    with kept_apart(bank):
        yield


@torch.no_grad()
def front_of(bank: AdapterBank, owner: Owner) -> Front:
    """What `owner` has in front of its tokens, prefixes first, as keys and values of the base's own form."""
    route = Route([Segment(0, 1, owner)], unit="rows", training=False)
    (one,) = asked_in_front(route)
    if not one.num_positions:
        return Front(0, {})
    soft = left_by(bank, owner, one, training=False)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for place in bank.host.facts.attentions:
        here = [placed for share in route.at(place.name) for placed in share.placed]
        pairs = [p.method.act(p.spec, p.params) for p in here if p.method.site == "attention_cache"]
        if place.name in soft:
            pairs.append(tuple(tensor_1KPD[0].transpose(0, 1) for tensor_1KPD in soft[place.name]))
        if pairs:
            dtype = bank.host.model.dtype
            keys, values = zip(*pairs, strict=True)
            found[place.name] = torch.cat([k.to(dtype) for k in keys]), torch.cat([v.to(dtype) for v in values])
    return Front(one.num_positions, found)
