"""From logits to the next token: penalties, bias, temperature, top-k, top-p, chance.

Chance is drawn from the request's seed and the number of the token alone, so an answer can be made again.

Legend: V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.serving.asked import Said

if TYPE_CHECKING:
    from graftwork.serving.asked import Sampling


def chosen(logits_V: Tensor, sampling: Sampling, said: Sequence[int], best: int | None = None) -> int:
    """The next token.

    Args:
        logits_V: of any type.
        said: the answer's tokens so far.
        best: the most likely token, where that is known.
    """
    if sampling.frequency_penalty or sampling.presence_penalty or sampling.logit_bias:
        logits_V, best = _bent(logits_V, sampling, _counted(said)), None
    if sampling.temperature == 0 and best is not None:
        return best
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    return _drawn(logits_V.double() / sampling.temperature, sampling, len(said))


def told(logits_V: Tensor, token: int, sampling: Sampling) -> Said:
    """The token, with what was asked about it. Probabilities are the model's own, before anything bends them."""
    if sampling.logprobs is None:
        return Said(token)
    logprobs_V = torch.log_softmax(logits_V.float(), dim=-1)
    top = torch.topk(logprobs_V, min(sampling.logprobs, len(logprobs_V)))
    likely = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
    return Said(token, float(logprobs_V[token]), likely)


def _bent(logits_V: Tensor, sampling: Sampling, counts: Mapping[int, int]) -> Tensor:
    logits_V = logits_V.float().clone()
    for token, bias in sampling.logit_bias.items():
        logits_V[token] += bias
    for token, count in counts.items():
        logits_V[token] -= sampling.frequency_penalty * count + sampling.presence_penalty
    return logits_V


def _counted(said: Sequence[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for token in said:
        counts[token] = counts.get(token, 0) + 1
    return counts


def _drawn(scaled_V: Tensor, sampling: Sampling, number: int) -> int:
    """By chance, from what top-k and top-p leave."""
    tokens, shares = _left(torch.softmax(scaled_V, dim=-1), sampling)
    sums = shares.cumsum(-1)
    at = random.Random(f"{sampling.seed}:{number}").random() * float(sums[-1])
    index = min(int(torch.searchsorted(sums, at, right=True)), len(sums) - 1)
    return int(tokens[index]) if tokens is not None else index


def _left(shares_V: Tensor, sampling: Sampling) -> tuple[Tensor | None, Tensor]:
    """Tokens that may come, None for all of them, and their shares; top-k is taken first."""
    if sampling.top_k is None and sampling.top_p >= 1:
        return None, shares_V
    whole = 1.0
    for num in (sampling.top_k,) if sampling.top_k is not None else (64, 2048, len(shares_V)):
        shares, tokens = torch.topk(shares_V, min(num, len(shares_V)))  # sorting all takes a hundred times as long
        whole = float(shares.sum()) if sampling.top_k is not None else 1.0
        if float(shares.sum()) >= sampling.top_p * whole:
            break
    before = shares.cumsum(-1) - shares
    num = max(1, int((before < sampling.top_p * whole).sum()))  # the one that reaches the share is in
    return tokens[:num], shares[:num]
