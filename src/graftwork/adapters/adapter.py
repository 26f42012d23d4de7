"""An adapter in memory: what was asked, and its tensors at each place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from graftwork.adapters.asked import Asked, parts_of, places_of
from graftwork.adapters.flat import laid_together
from graftwork.adapters.form import Frozen, Memo
from graftwork.adapters.method import Method
from graftwork.base.tensors import digest_of_tensors
from graftwork.core.digests import digest
from graftwork.core.spec import Spec, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graftwork.base.facts import BaseFacts, Place


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Placed:
    """One method of an adapter at one place.

    Attributes:
        part: which part of a combined adapter this belongs to; 0 if it is not combined.
        spec: resolved for this place: its rank is a whole number.
        params: tensors by the names that the method's `shapes` gives them.
        memo: values computed from them, as long as they are not changed.
    """

    place: Place
    method: Method
    spec: Spec
    params: Mapping[str, Tensor]
    part: int = 0
    memo: Memo = field(default_factory=Memo)

    @property
    def asked(self) -> Asked:
        """Without its tensors."""
        return Asked(place=self.place, method=self.method, spec=self.spec, part=self.part)

    def form(self, frozen: Frozen) -> Any:
        """What the method does at its place of the linear or experts site."""
        return self.method.act(self.spec, self.params, frozen, self.memo)

    @property
    def is_gathered(self) -> bool:
        """Whether it acts at one expert of a list: a layer that sees the tokens sent to it, and not whose they are."""
        return self.method.site == "linear" and self.place.role.startswith("experts.")

    @property
    def hooks(self) -> tuple[str, ...]:
        """The kinds of hook that it needs at its place."""
        gains_input = self.method.gains_input(self.spec, self.place)
        return (self.method.site, "linear_input") if gains_input else (self.method.site,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapter:
    """An adapter in memory, its places in the base's order.

    Attributes:
        spec: as it was asked for; None when it was made elsewhere, where nobody asked us.
        placed: by key: the place's name, after the part's number and a colon from the second part on.
    """

    spec: Spec | None
    placed: Mapping[str, Placed]

    @cached_property
    def _by_place(self) -> Mapping[str, tuple[Placed, ...]]:
        found: dict[str, tuple[Placed, ...]] = {}
        for here in self.placed.values():
            found[here.place.name] = (*found.get(here.place.name, ()), here)
        return found

    @cached_property
    def gathered(self) -> frozenset[str]:
        """Names of its places whose layers see tokens gathered from all over the batch."""
        return frozenset(here.place.name for here in self.placed.values() if here.is_gathered)

    def at(self, place: str) -> tuple[Placed, ...]:
        """What acts at a place, in order."""
        return self._by_place.get(place, ())

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with its name, `key/param`."""
        for key, here in self.placed.items():
            for param, tensor in here.params.items():
                yield f"{key}/{param}", tensor

    def trained(self) -> Iterator[tuple[str, Tensor]]:
        """Of those, the ones that are trained."""
        for key, here in self.placed.items():
            for param, tensor in here.params.items():
                if param not in here.method.kept:
                    yield f"{key}/{param}", tensor

    @property
    def num_params(self) -> int:
        """Trained numbers in all."""
        return sum(prod(tensor.shape) for _, tensor in self.trained())

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.numel() * tensor.element_size() for _, tensor in self.tensors())

    def digest(self) -> str:
        """What this adapter computes, in one digest: the resolved specs and the bytes of all tensors."""
        specs = {key: plain(here.spec) for key, here in self.placed.items()}
        return digest({"specs": specs, "tensors": digest_of_tensors(self.tensors())})


def fresh(
    spec: Spec,
    facts: BaseFacts,
    frozen_at: Callable[[Place], Frozen],
    *,
    seed: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Adapter:
    """A new adapter at the places that `spec` asks for.

    Each place draws from its own generator, so its start does not depend on which other places are adapted.

    Raises:
        SpecError: a target matches nothing.
    """
    wanted = places_of(spec, facts)
    made = {
        key: asked.method.init(asked.spec, frozen_at(asked.place), _generator(seed, key))
        for key, asked in wanted.items()
    }
    on_device = {key: {n: t.to(dtype=dtype, device=device) for n, t in params.items()} for key, params in made.items()}
    return Adapter(spec=spec, placed=placed(wanted, on_device))


def placed(wanted: Mapping[str, Asked], params: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Placed]:
    """What was asked for with its tensors, which are copied into one stretch of memory.

    They lie contiguous there: what an optimizer keeps beside a tensor takes its layout, and comes back from a file
    without it.
    """
    laid = laid_together({(key, name): tensor for key, named in params.items() for name, tensor in named.items()})
    return {
        key: Placed(
            place=asked.place,
            method=asked.method,
            spec=asked.spec,
            params={name: laid[key, name] for name in params[key]},
            part=asked.part,
        )
        for key, asked in wanted.items()
    }


def spec_of_part(adapter: Adapter, part: int) -> Spec:
    """What was asked of one part of `adapter`."""
    assert adapter.spec is not None
    return parts_of(adapter.spec)[part]


def _generator(seed: int, place: str) -> torch.Generator:
    told = hashlib.sha256(f"{seed}:{place}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(told[:8], "little") >> 1)
