"""The input of an MLP's last layer, for the backward pass made again instead of kept.

That input is `act(gate) * up`, or `act(up)` without a gate. The backward pass of the base itself keeps gate and up, so
keeping their product too, for the gradient of an adapter's first factor, is a tenth of all that is kept. Nothing is
believed: each time, the input's own graph must say that it was made in this way from these very tensors, and the first
time it is made again and compared bit for bit. Where that fails the input is kept.

Legend: N tokens, I in features of the last layer.

Source: the order of saving in Unsloth's MLP (Han and Han 2023). Departs from it: no module is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Route
    from graftwork.base.facts import Place

FEEDS = ("mlp.gate", "mlp.up")
ACTIVATIONS = ("SiluBackward0", "GeluBackward0", "ReluBackward0", "TanhBackward0")
"""Nodes of activations that are one operation."""
GATED = "_GatedBackward"
"""The node of both in one; see `base.between`."""


@dataclass(frozen=True, slots=True)
class Inner:
    """How to make the input again.

    Attributes:
        activation: of the module; has no tensors of its own.
        sources: gate and up, or up alone, as (N, I).
    """

    activation: Callable[[Tensor], Tensor]
    sources: tuple[Tensor, ...]

    @property
    def maker(self) -> Callable[..., Tensor]:
        """Gives the input, x_NI, of the sources, and holds none of them."""
        activation = self.activation
        return lambda *sources: product(activation, sources)


def product(activation: Callable[[Tensor], Tensor], sources: tuple[Tensor, ...]) -> Tensor:
    """`act(gate) * up`, or `act(up)` without a gate."""
    first = activation(sources[0])
    return first * sources[1] if len(sources) == 2 else first


def remember(bank: AdapterBank, route: Route, place: Place, output: Tensor) -> None:
    """Keep what a layer before the last one gave, until the last one has seen it."""
    holder = place.name.rpartition(".")[0]
    last = bank.last_of.get(holder)
    if last is not None and place.role in FEEDS and torch.is_grad_enabled() and route.at(last):
        route.scratch.setdefault(("inner", holder), {})[place.role] = output


def inner_of(bank: AdapterBank, route: Route, place: Place, x: Tensor) -> Inner | None:
    """How to make `x`, the input of the last layer, again; None if that is not known to give it bit for bit."""
    if place.role != "mlp.down":
        return None
    holder = place.name.rpartition(".")[0]
    given: dict[str, Tensor] = route.scratch.pop(("inner", holder), {})
    module = bank.module(holder)
    activation = getattr(module, "act_fn", None) or getattr(module, "act", None)
    outputs = [given[role] for role in FEEDS if role in given]
    if not callable(activation) or _has_tensors(activation) or not _is_made_from(x, outputs):
        return None
    sources = tuple(output.detach().reshape(-1, x.shape[-1]) for output in outputs)
    if place.name not in bank.made_again:
        with torch.no_grad():
            bank.made_again[place.name] = torch.equal(product(activation, sources), x.reshape(-1, x.shape[-1]))
    return Inner(activation, sources) if bank.made_again[place.name] else None


def _is_made_from(x: Tensor, outputs: list[Tensor]) -> bool:
    """Whether the graph of `x` is one activation of the first output, multiplied by the second if there is one."""
    if not outputs or x.grad_fn is None or any(output.grad_fn is None for output in outputs):
        return False
    activated = x.grad_fn
    if x.grad_fn.name() == GATED:
        return [node for node, _ in x.grad_fn.next_functions] == [output.grad_fn for output in outputs]
    if len(outputs) == 2:
        nodes = [node for node, _ in x.grad_fn.next_functions]
        others = [node for node in nodes if node is not outputs[1].grad_fn]
        if x.grad_fn.name() != "MulBackward0" or len(nodes) != 2 or len(others) != 1 or others[0] is None:
            return False
        activated = others[0]
    begins = [node for node, _ in activated.next_functions]
    return activated.name() in ACTIVATIONS and begins == [outputs[0].grad_fn]


def _has_tensors(activation: object) -> bool:
    return isinstance(activation, nn.Module) and next(activation.parameters(), None) is not None
