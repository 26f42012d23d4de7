"""Requests for every method of the catalog, adapters that do something, and what can be seen of them."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import torch
from torch import Tensor

from graftwork.adapters.adapter import Adapter, spec_of_part
from graftwork.adapters.asked import places_of
from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.evolution import Moment
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.core.spec import Spec, plain

SMALL = {"rank": 4}
"""What the tiny bases are asked instead of defaults that are made for large ones."""


def request(name: str, **asked: Any) -> Any:
    """A request for a method, small enough for a tiny base."""
    from graftwork.adapters.method import METHODS

    small = {key: value for key, value in SMALL.items() if key in METHODS[name].spec.model_fields}
    return parse_adapter_spec({"method": name, **small, **asked})


def stirred(bank: AdapterBank, handle: Handle, seed: int = 3, strength: float = 0.3) -> Handle:
    """The same handle, its trained tensors moved off their start."""
    draw = torch.Generator().manual_seed(seed)
    for _, tensor in bank[handle].trained():
        moved = torch.randn(tensor.shape, generator=draw, dtype=torch.float64) * strength
        with torch.no_grad():
            tensor.add_(moved.to(tensor.dtype))
    return handle


def lively(bank: AdapterBank, spec: Spec, seed: int = 0) -> Handle:
    """A new adapter that does something."""
    return stirred(bank, bank.fresh(spec, seed=seed, name=f"lively-{seed}"), seed)


def leaves(bank: AdapterBank, handle: Handle) -> dict[str, Tensor]:
    """Its trained tensors, asked for gradients."""
    return {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}


def loss_of(bank: AdapterBank, handle: Handle, tokens_BT: Tensor, *, training: bool = False) -> Tensor:
    """A number that depends on every logit, with the method's penalty."""
    with bank.route([handle] * len(tokens_BT), training=training):
        logits = bank.base.model(input_ids=tokens_BT).logits
    penalties = [
        placed.method.penalty(placed.spec, placed.params)
        for placed in bank[handle].placed.values()
        if placed.method.penalty
    ]
    loss = logits.square().mean()
    return loss + torch.stack(penalties).mean() if penalties else loss


def evolve(
    bank: AdapterBank, handle: Handle, tokens_BT: Tensor, num_steps: int, rate: float = 0.05, of: int | None = None
) -> Adapter:
    """Train by plain gradient descent with everything that its methods do between steps; the adapter that is kept.

    Args:
        of: steps of the whole training; as many as are done when absent.
    """
    adapter, params = bank[handle], leaves(bank, handle)
    parts = {here.part: [] for here in adapter.placed.values()}
    for key, here in adapter.placed.items():
        parts[here.part].append((key, here))
    evolving = [
        (spec_of_part(adapter, part), dict(members), members[0][1].method.evolution)
        for part, members in parts.items()
        if members[0][1].method.evolution
    ]
    states = [evolution.begin(spec, placed) for spec, placed, evolution in evolving]
    for step in range(1, num_steps + 1):
        loss_of(bank, handle, tokens_BT).backward()
        with torch.no_grad():
            for tensor in params.values():
                tensor.sub_(rate * tensor.grad)
        for (spec, placed, evolution), state in zip(evolving, states, strict=True):
            grads = {k: {n: t.grad for n, t in h.params.items() if t.grad is not None} for k, h in placed.items()}
            with torch.no_grad():
                evolution.step(spec, placed, grads, state, Moment(step=step, num_steps=of or num_steps))
        for tensor in params.values():
            tensor.grad = None
    kept = dict(adapter.placed)
    for spec, placed, evolution in evolving:
        finished = evolution.finish(spec, placed)
        kept = {key: finished.get(key, here) for key, here in kept.items() if key in finished or key not in placed}
    return Adapter(spec=adapter.spec, placed=kept)


def other_requests(name: str) -> Iterator[tuple[str, Any]]:
    """Each field of a method's spec with other values than its default: its examples, or what its type allows."""
    from graftwork.adapters.method import METHODS

    usual = plain(request(name))
    for field_name, field in METHODS[name].spec.model_fields.items():
        if field_name != "method":
            values = field.examples or list(_others(field.annotation, usual[field_name]))
            yield from ((field_name, value) for value in values)


def _others(annotation: Any, usual: Any) -> Iterator[Any]:
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    literals = [v for option in options if get_origin(option) is Literal for v in get_args(option)]
    if literals or isinstance(usual, bool):
        yield from (value for value in literals or (True, False) if value != usual)
    elif isinstance(usual, int):
        yield usual + 1
    elif isinstance(usual, float):
        yield usual / 2 if usual else 0.5


def seen(bank: AdapterBank, spec: Any, tokens_BT: Tensor) -> dict[str, Any]:
    """All that a spec can do: shapes, start, answers at rest and while training, gradients, and how it evolves."""
    asked = places_of(spec, bank.base.facts)
    fresh = bank.fresh(spec, seed=1)
    found: dict[str, Any] = {
        "shapes": {key: dict(here.method.shapes(here.spec, here.place)) for key, here in asked.items()},
        "start": bank[fresh].digest() and {name: t.tolist() for name, t in bank[fresh].tensors()},
    }
    handle = lively(bank, spec, seed=2)
    params = leaves(bank, handle)
    for training in (False, True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            loss = loss_of(bank, handle, tokens_BT, training=training)
        found[f"loss, training={training}"] = loss.item()
    loss.backward()
    found["gradients"] = {name: None if t.grad is None else t.grad.tolist() for name, t in params.items()}
    if any(here.method.evolution for here in asked.values()):
        kept = evolve(bank, bank.fresh(spec, seed=1), tokens_BT, num_steps=12)
        found["evolved"] = kept.digest()
    return found
