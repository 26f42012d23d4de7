"""The loss of chosen tokens where the head itself is trained: as `base.head.nats_of_states`, with the head's gradient.

    loss = sum_p -log softmax(h_p C^T)[t_p],   dC = sum over chunks of (softmax - onehot)_C^T h_C

Shapes: P predicted tokens, C tokens of a chunk, H features, V words. `head` is every parameter between hidden states
and logits: a weight_VH, perhaps a bias; with tied embeddings the same tensor as the embeddings', whose two gradients
autograd adds.

Source: chunked linear cross-entropy with the gradient computed in the forward pass, as in Liger (Hsu et al. 2024,
https://arxiv.org/abs/2410.10989, section 3.2).
Departs from it: the head's gradient is summed over the chunks in float32 (float64 for a float64 model) and rounded to
the head's own type once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from graftwork.base.head import CHUNK_ELEMENTS, Halves


def nats_with_head(head: Sequence[nn.Parameter]) -> Callable[[Halves, Tensor, Tensor], Tensor]:
    """A loss like `base.head.nats_of_states` whose gradient reaches the states and `head`."""

    def nats(split: Halves, states_PH: Tensor, targets_P: Tensor) -> Tensor:
        total: Tensor = _ChunkedNats.apply(states_PH, targets_P, split, *head)
        return total

    return nats


class _ChunkedNats(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states_PH: Tensor, targets_P: Tensor, split: Halves, *head: Tensor) -> Tensor:
        sums = [torch.zeros_like(tensor, dtype=_wide(tensor.dtype)) for tensor in head]
        total = torch.zeros((), dtype=_wide(states_PH.dtype), device=states_PH.device)
        of_states: list[Tensor] = [states_PH[:0]]
        for part_CH, targets_C in _chunks(states_PH, targets_P, split):
            with torch.enable_grad():
                part_CH = part_CH.detach().requires_grad_()
                logits_CV = split.logits_of(part_CH)
                loss = cross_entropy(logits_CV.to(_wide(logits_CV.dtype)), targets_C, reduction="sum")
            of_part, *of_head = torch.autograd.grad(loss, (part_CH, *head))
            of_states.append(of_part)
            for whole, part in zip(sums, of_head, strict=True):
                whole += part
            total += loss.detach()
        ctx.save_for_backward(torch.cat(of_states), *sums)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        of_states, *of_head = ctx.saved_tensors
        return of_states * upstream[0], None, None, *(whole * upstream[0] for whole in of_head)


def _chunks(states_PH: Tensor, targets_P: Tensor, split: Halves) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(1, CHUNK_ELEMENTS // split.vocab_size)
    return zip(states_PH.split(size), targets_P.split(size), strict=True)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32
