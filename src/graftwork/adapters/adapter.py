"""An adapter in memory: what was asked, and the trained tensors at each place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch

from graftwork.adapters.method import METHODS, Method
from graftwork.adapters.ranks import rank_at
from graftwork.adapters.targets import LinearSpec, select
from graftwork.base.tensors import digest_of_tensors
from graftwork.core.digests import digest
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graftwork.base.facts import BaseFacts, LinearPlace


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Placed:
    """The adapter at one place.

    Attributes:
        spec: resolved for this place: its rank is a whole number.
        params: trained tensors by the names that the method's `shapes` gives them.
    """

    place: LinearPlace
    method: Method
    spec: Spec
    params: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Adapter:
    """An adapter in memory, its places in the base's order.

    Attributes:
        spec: as it was asked for; None when it was made elsewhere, where nobody asked us.
    """

    spec: Spec | None
    placed: Mapping[str, Placed]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every trained tensor with its name, `place/param`."""
        for name, here in self.placed.items():
            for param, tensor in here.params.items():
                yield f"{name}/{param}", tensor

    @property
    def num_params(self) -> int:
        """Trained numbers in all."""
        return sum(prod(tensor.shape) for _, tensor in self.tensors())

    def digest(self) -> str:
        """What this adapter computes, in one digest: the resolved specs and the bytes of all tensors."""
        specs = {name: plain(here.spec) for name, here in self.placed.items()}
        return digest({"specs": specs, "tensors": digest_of_tensors(self.tensors())})


def resolved(spec: LinearSpec, place: LinearPlace, num_layers: int) -> LinearSpec:
    """`spec` as it holds at `place`: a rank plan becomes this place's rank, the selection is left behind."""
    raw = {k: v for k, v in plain(spec).items() if k not in LinearSpec.model_fields}
    if "rank" in raw:
        raw["rank"] = rank_at(spec.rank, place.layer, num_layers)  # type: ignore[attr-defined]
    return parse(type(spec), raw)


def places_of(spec: Spec, facts: BaseFacts) -> dict[str, tuple[LinearPlace, Method, LinearSpec]]:
    """Where `spec` attaches and what holds there, without making a tensor.

    Raises:
        SpecError: a target matches nothing.
    """
    assert isinstance(spec, LinearSpec)
    method = METHODS[spec.method]  # type: ignore[attr-defined]
    return {p.name: (p, method, resolved(spec, p, facts.num_layers)) for p in select(spec, facts)}


def fresh(
    spec: Spec,
    facts: BaseFacts,
    weight_of: Callable[[str], Tensor],
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
    placed = {}
    for name, (place, method, here) in places_of(spec, facts).items():
        params = method.init(here, weight_of(name), _generator(seed, name))
        on_device = {k: v.to(dtype=dtype, device=device) for k, v in params.items()}
        placed[name] = Placed(place=place, method=method, spec=here, params=on_device)
    return Adapter(spec=spec, placed=placed)


def _generator(seed: int, place: str) -> torch.Generator:
    told = hashlib.sha256(f"{seed}:{place}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(told[:8], "little") >> 1)
