"""The two halves of a language model, and the loss of chosen tokens without logits for the others.

A causal model is a body (tokens to hidden states) and a head (hidden states to logits). Logits are by far the widest
tensor
of a training step, so they are computed only where there is a target, and in chunks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from graftwork.core.errors import IntegrityError

CHUNK_ELEMENTS = 1 << 22
"""Logits held at once: a chunk is this many numbers, from shapes alone, so the order of sums never depends on the
machine's
free memory."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Body and head of a causal language model.

    Attributes:
        logits_of: hidden_NH to logits_NV, in the model's own type.
    """

    body: nn.Module
    logits_of: Callable[[Tensor], Tensor]
    vocab_size: int

    def hidden_BTH(self, tokens_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        """The last hidden states of rows that are padded on the right, if at all: a causal body needs no mask then.

        Args:
            positions_BT: of packed rows; each record's begin at 0, which is how `transformers` sees where one ends, for
                every kind of attention.
        """
        where = {} if positions_BT is None else {"position_ids": positions_BT}
        hidden: Tensor = self.body(input_ids=tokens_BT, use_cache=False, **where).last_hidden_state
        return hidden


def halves(model: PreTrainedModel) -> Halves:
    """Split `model`, and check on a few tokens that the halves give its own logits.

    Raises:
        IntegrityError: they do not, so its head does something we do not know of.
    """
    config: Any = model.config.get_text_config()
    head = model.get_output_embeddings()
    if head is None or model.base_model is model:
        raise IntegrityError(f"{type(model).__name__} has no output head, so it is no causal language model.")
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    factor = getattr(config, "logit_scale", None) or 1.0  # Cohere
    divisor = getattr(config, "logits_scaling", None) or 1.0  # Granite

    def logits_of(hidden_NH: Tensor) -> Tensor:
        logits_NV: Tensor = head(hidden_NH)
        if factor != 1.0 or divisor != 1.0:
            logits_NV = logits_NV * (factor / divisor)
        return torch.tanh(logits_NV / cap) * cap if cap else logits_NV

    split = Halves(model.base_model, logits_of, config.vocab_size)
    _check(model, split)
    return split


def nats(split: Halves, tokens_BT: Tensor, is_target_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
    """Summed negative log-likelihood, in nats, of the target tokens; gradients flow to the hidden states alone.

    Args:
        tokens_BT: int64, padded on the right.
        is_target_BT: bool; false in the first column, and where a packed record begins.
        positions_BT: of packed rows.

    Returns:
        A scalar, float32 (float64 for a float64 model).

    Source: chunked linear cross-entropy with the gradient computed in the forward pass, as in Liger (Hsu et al. 2024,
    https://arxiv.org/abs/2410.10989, section 3.2).
    Departs from it: the head is frozen, so its gradient is never formed; tokens that are no target are left out first.
    """
    predicting_BT = is_target_BT[:, 1:]  # the state at t predicts the token at t + 1
    hidden_NH = split.hidden_BTH(tokens_BT, positions_BT)[:, :-1][predicting_BT]
    return nats_of_states(split, hidden_NH, tokens_BT[:, 1:][predicting_BT])


def nats_of_states(split: Halves, states_PH: Tensor, targets_P: Tensor) -> Tensor:
    """As `nats`, of the states that predict a target and what they are to predict."""
    total: Tensor = _ChunkedNats.apply(states_PH, targets_P, split)
    return total


def row_nats(split: Halves, tokens_BT: Tensor, is_target_BT: Tensor) -> Tensor:
    """As `nats`, for each row: nats_B, without gradients."""
    predicting_BT = is_target_BT[:, 1:]
    with torch.no_grad():
        hidden_NH = split.hidden_BTH(tokens_BT)[:, :-1][predicting_BT]
    losses_N = target_nats(split, hidden_NH, tokens_BT[:, 1:][predicting_BT])
    rows_N = predicting_BT.nonzero()[:, 0]
    return losses_N.new_zeros(tokens_BT.shape[0]).index_add_(0, rows_N, losses_N)


@torch.no_grad()
def target_nats(split: Halves, states_PH: Tensor, targets_P: Tensor) -> Tensor:
    """As `nats_of_states`, for each target: nats_P, without gradients."""
    chunks = _chunks(states_PH, targets_P, split)
    return torch.cat([cross_entropy(_wide(split.logits_of(h)), t, reduction="none") for h, t in chunks])


class _ChunkedNats(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_NH: Tensor, targets_N: Tensor, split: Halves) -> Tensor:
        total = torch.zeros((), dtype=_wide(hidden_NH[:0]).dtype, device=hidden_NH.device)
        gradients: list[Tensor] = []
        for part_CH, targets_C in _chunks(hidden_NH, targets_N, split):
            with torch.enable_grad():
                part_CH = part_CH.detach().requires_grad_(hidden_NH.requires_grad)
                loss = cross_entropy(_wide(split.logits_of(part_CH)), targets_C, reduction="sum")
            if hidden_NH.requires_grad:
                gradients += torch.autograd.grad(loss, part_CH)
            total += loss.detach()
        ctx.save_for_backward(torch.cat(gradients) if gradients else hidden_NH[:0])
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient_NH,) = ctx.saved_tensors
        return gradient_NH * upstream[0], None, None  # a float32 scalar multiplies without being rounded first


def _chunks(hidden_NH: Tensor, targets_N: Tensor, split: Halves) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(1, CHUNK_ELEMENTS // split.vocab_size)
    return zip(hidden_NH.split(size), targets_N.split(size), strict=True)


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _check(model: PreTrainedModel, split: Halves) -> None:
    tokens_BT = torch.arange(min(8, split.vocab_size), device=model.device)[None]
    with torch.no_grad():
        own = model(input_ids=tokens_BT, use_cache=False).logits[0]
        ours = split.logits_of(split.hidden_BTH(tokens_BT)[0])
    if not torch.allclose(own.double(), ours.double(), rtol=1e-2, atol=1e-2):
        raise IntegrityError(
            f"the head of {type(model).__name__} computes something beyond a projection, so its loss would be wrong."
        )
