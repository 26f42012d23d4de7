"""Merging: one plain model that computes what base and adapter compute, and the proof that it does."""

import copy
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.sites import weight_OI
from graftwork.core.errors import Problem, SpecError


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


def merged_model(model: nn.Module, adapter: Adapter) -> nn.Module:
    """A copy of `model` with `adapter` merged into its weights; `model` stays as it is.

    The sum is made in float32 (float64 if the weight is) and rounded once to the weight's type.

    Raises:
        SpecError: a method of this adapter has no merged form.
    """
    unmergeable = sorted({here.method.name for here in adapter.placed.values() if here.method.merge is None})
    if unmergeable:
        raise SpecError(Problem("adapter.method", name, "a method that can be merged") for name in unmergeable)
    whole = copy.deepcopy(model, {id(m._forward_hooks): OrderedDict() for m in model.modules()})  # without any hook
    modules = dict(whole.named_modules())
    with torch.no_grad():
        for name, here in adapter.placed.items():
            weight = weight_OI(modules[name])
            wide = weight if weight.dtype == torch.float64 else weight.float()
            assert here.method.merge is not None
            weight.copy_(here.method.merge(here.spec, here.params, wide))
    return whole


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
