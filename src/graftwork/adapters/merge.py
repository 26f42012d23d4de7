"""Merging: one plain model that computes what base and adapter compute, and the proof that it does."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.form import LinearForm
from graftwork.adapters.sites.frozen import FrozenModule
from graftwork.base.quantised import dequantise, quantise, scheme_of
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from graftwork.base.facts import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeProof:
    """How far a merged model is from base and adapter, over the positions of a probe.

    Attributes:
        max_logit_difference: largest absolute difference of any logit.
        mean_kl_nats: mean Kullback-Leibler divergence from applied to merged.
        agreement_frac: share of positions with the same most likely token.
    """

    num_positions: int
    max_logit_difference: float
    mean_kl_nats: float
    agreement_frac: float


def merged_model(model: nn.Module, *adapters: Adapter) -> nn.Module:
    """A copy of `model` with adapters, one on top of the other, merged into its weights; `model` stays as it is.

    The sum is made in float32 (float64 if the weight is) and rounded once to the weight's type. A model in 8 or 4 bits
    is merged as the weights that it computes with, and put into as many bits again: see with `proof` what that took.

    Raises:
        SpecError: a method of these adapters has no merged form.
    """
    placed = [here for adapter in adapters for here in adapter.placed.values()]
    unmergeable = sorted({here.method.name for here in placed if not here.method.merges})
    if unmergeable:
        raise SpecError(Problem("adapter.method", name, "a method that can be merged") for name in unmergeable)
    whole = copied(model)
    dequantise(whole)
    with torch.no_grad():
        for place in {here.place.name: here.place for here in placed}.values():
            frozen, merged = frozen_at(model, place), frozen_at(whole, place)
            forms = [here.form(frozen) for adapter in adapters for here in adapter.at(place.name)]
            weight, bias_O = merged.weight, merged.bias_O
            weight.copy_(merged_weight(forms, weight if weight.dtype == torch.float64 else weight.float()))
            if bias_O is not None:
                bias_O.copy_(merged_bias(forms, bias_O))
    quantise(whole, scheme_of(model))
    return whole


def copied(model: nn.Module) -> nn.Module:
    """A copy of `model` without hooks: neither those of banks nor anybody else's, which a weight cannot hold."""
    return copy.deepcopy(model, {id(hooks): OrderedDict() for m in model.modules() for hooks in _hooks(m)})


def frozen_at(model: nn.Module, place: Place) -> FrozenModule:
    """What of `model` stands at a place."""
    return FrozenModule(place, model.get_submodule(getattr(place, "module", place.name)))


def merged_weight(forms: Sequence[LinearForm], weight: Tensor) -> Tensor:
    """The weight that computes what `forms` compute one on top of the other, in the type of `weight`.

    Args:
        weight: weight_OI, or weight_EOI of experts.
    """
    merged = weight
    for form in forms:
        if form.down_RI is not None and form.up_OR is not None:
            merged = merged + form.scale * (form.up_OR.to(weight.dtype) @ form.down_RI.to(weight.dtype))
        if form.gain_O is not None:
            merged = merged * form.gain_O.to(weight.dtype)[..., None]
    for form in forms:  # an input gain reaches everything at its place, whatever its turn
        if form.input_gain_I is not None:
            merged = merged * form.input_gain_I.to(weight.dtype)
    return merged


def merged_bias(forms: Sequence[LinearForm], bias_O: Tensor) -> Tensor:
    """The bias beside `merged_weight`."""
    gain_O = bias_gain(forms)
    return bias_O if gain_O is None else bias_O * gain_O.to(bias_O.dtype)


def bias_gain(forms: Sequence[LinearForm]) -> Tensor | None:
    """What the layer's bias is multiplied by; None for nothing. A gain that spares the layer's own bias still reaches
    what an earlier one has added to it or taken from it."""
    whole_O: Tensor | None = None
    for form in forms:
        if form.gain_O is not None and form.gains_bias:
            whole_O = form.gain_O if whole_O is None else whole_O * form.gain_O
        elif form.gain_O is not None and whole_O is not None:
            whole_O = (whole_O - 1) * form.gain_O + 1
    return whole_O


def _hooks(module: nn.Module) -> tuple[object, ...]:
    return module._forward_hooks, module._forward_pre_hooks


def proof(applied_NV: Tensor, merged_NV: Tensor) -> MergeProof:
    """Compare logits of the same N positions, both over V tokens."""
    applied, merged = applied_NV.double(), merged_NV.double()
    log_p, log_q = applied.log_softmax(-1), merged.log_softmax(-1)
    return MergeProof(
        num_positions=applied.shape[0],
        max_logit_difference=(applied - merged).abs().max().item(),
        mean_kl_nats=(log_p.exp() * (log_p - log_q)).sum(-1).mean().item(),
        agreement_frac=(applied.argmax(-1) == merged.argmax(-1)).double().mean().item(),
    )
