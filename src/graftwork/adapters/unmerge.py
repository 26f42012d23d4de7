"""Taking a merged adapter out of a model again.

What was rounded when it was merged is lost: the base comes back to within the rounding of its number format, and
exactly only from the base itself. `unmerge_proof` says how far off it is where the base is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.arithmetic import own_form
from graftwork.adapters.form import LinearForm
from graftwork.adapters.merge import bias_gain, copied, frozen_at
from graftwork.base.quantised import scheme_of
from graftwork.core.errors import Problem, SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class UnmergeProof:
    """How far restored weights are from the base's.

    Attributes:
        max_weight_difference: largest absolute difference of any weight.
        max_roundings: the same in roundings: 1 is half of the distance between neighbouring numbers of the weight's
            format at the size of the merged or the restored weight, whichever is larger.
        num_exact: weights that are the base's bit for bit, of `num_weights`.
    """

    max_weight_difference: float
    max_roundings: float
    num_exact: int
    num_weights: int


def unmerged(model: nn.Module, adapter: Adapter) -> nn.Module:
    """A copy of a merged `model` with `adapter` taken out of its weights again; `model` stays as it is.

    Raises:
        SpecError: a method's effect depends on the base's own weights, a gain of zero has left nothing of them, or the
            model is in 8 or 4 bits.
    """
    forms = {key: own_form(here) for key, here in adapter.placed.items()}
    if odd := sorted({adapter.placed[key].method.name for key, form in forms.items() if form is None}):
        expected = "a method that can be taken out without the base"
        raise SpecError(Problem("adapter.method", name, expected, "Load the base itself.") for name in odd)
    if (scheme := scheme_of(model)) != "off":  # most of what was merged has been rounded away
        raise SpecError([Problem("model", scheme, "a model that is not in 8 or 4 bits", "Load the base itself.")])
    whole = copied(model)
    with torch.no_grad():
        for place in {here.place.name: here.place for here in adapter.placed.values()}.values():
            here = [form for key, form in forms.items() if adapter.placed[key].place == place and form is not None]
            _refuse_zero_gains(place.name, here)
            frozen = frozen_at(whole, place)
            weight, bias_O = frozen.weight, frozen.bias_O
            weight.copy_(_without(here, weight if weight.dtype == torch.float64 else weight.float()))
            if bias_O is not None:
                gain_O = bias_gain(here)
                bias_O.copy_(bias_O if gain_O is None else bias_O / gain_O.to(bias_O.dtype))
    return whole


def unmerge_proof(merged: nn.Module, restored: nn.Module, base: nn.Module, adapter: Adapter) -> UnmergeProof:
    """Compare the weights that `adapter` changes in three models: merged, restored from it, and the base."""
    difference, roundings, exact, count = 0.0, 0.0, 0, 0
    for place in {here.place.name: here.place for here in adapter.placed.values()}.values():
        there, back, true = (frozen_at(model, place).weight for model in (merged, restored, base))
        off = (back.double() - true.double()).abs()
        size = torch.maximum(there.abs(), back.abs()).double()
        unit = size * torch.finfo(true.dtype).eps / 2
        difference = max(difference, off.max().item())
        roundings = max(roundings, (off / unit.clamp_min(torch.finfo(true.dtype).tiny)).max().item())
        exact += int((off == 0).sum())
        count += off.numel()
    return UnmergeProof(max_weight_difference=difference, max_roundings=roundings, num_exact=exact, num_weights=count)


def _without(forms: Sequence[LinearForm], merged: Tensor) -> Tensor:
    weight = merged
    for form in forms:
        if form.input_gain_I is not None:
            weight = weight / form.input_gain_I.to(weight.dtype)
    for form in reversed(forms):
        if form.gain_O is not None:
            weight = weight / form.gain_O.to(weight.dtype)[..., None]
        if form.down_RI is not None and form.up_OR is not None:
            weight = weight - form.scale * (form.up_OR.to(weight.dtype) @ form.down_RI.to(weight.dtype))
    return weight


def _refuse_zero_gains(place: str, forms: Sequence[LinearForm]) -> None:
    gains = [gain for form in forms for gain in (form.gain_O, form.input_gain_I) if gain is not None]
    if any(not gain.all() for gain in gains):
        raise SpecError([Problem(place, 0.0, "gains other than zero", "Load the base itself.")])
