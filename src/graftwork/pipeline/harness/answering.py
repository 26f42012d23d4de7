"""What the harness asks for, by tokens: how likely continuations are, and greedy text up to a stop. Imports none of it.

Legend: B rows, T tokens, P positions that foretell a token of a continuation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from graftwork.data.collate import collate
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.serving.generate import greedy_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.pipeline.sides import Side

NOWHERE = Origin("", 0)


@dataclass(frozen=True, slots=True)
class Likely:
    """How likely a continuation is: the logarithm of its likelihood, and whether greedy answers would give it."""

    log_likelihood: float
    is_greedy: bool


def likelihoods(side: Side, asked: Sequence[tuple[Sequence[int], Sequence[int]]], *, batch_size: int) -> list[Likely]:
    """Of each pair of context and continuation, as `side` answers.

    Args:
        asked: of each at least one token, and together no more than the base's context and one.
    """
    found: dict[int, Likely] = {}
    ordered = sorted(range(len(asked)), key=lambda i: -sum(map(len, asked[i])))  # the largest batch first
    for at in range(0, len(ordered), batch_size):
        chosen = ordered[at : at + batch_size]
        found.update(zip(chosen, _batch(side, [asked[i] for i in chosen]), strict=True))
    return [found[i] for i in range(len(asked))]


def generated(
    side: Side, prompts_B_T: Sequence[Sequence[int]], *, until: Sequence[str], max_new_tokens: int
) -> list[str]:
    """Greedy text behind each prompt, up to the first of `until` or the base's own end, neither within."""
    base = side.bank.base
    longest = max(map(len, prompts_B_T))
    tokens_BT = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts_B_T], device=base.device)
    mask_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts_B_T], device=base.device)
    cache = DynamicCache(config=base.model.config)
    said_B_T: list[list[int]] = [[] for _ in prompts_B_T]
    with torch.no_grad(), side.routed(len(prompts_B_T)):
        for next_B in islice(greedy_tokens(base.halves, cache, tokens_BT, mask_BT), max_new_tokens):
            for said_T, token in zip(said_B_T, next_B.tolist(), strict=True):
                said_T.append(token)
            if all(_is_over(said_T, base.chat.stop_ids, base.chat.tokenizer, until) for said_T in said_B_T):
                break
    return [_text(said_T, base.chat.stop_ids, base.chat.tokenizer, until) for said_T in said_B_T]


def cut_at(text: str, until: Sequence[str]) -> str:
    """`text` up to the first of `until`.

    >>> cut_at("4. Then", ["Then", "."]), cut_at("4", ["."])
    ('4', '4')
    """
    return text[: min([at for stop in until if stop and (at := text.find(stop)) >= 0], default=len(text))]


def _batch(side: Side, asked: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Iterator[Likely]:
    base = side.bank.base
    records = [
        Encoded((*context, *rest), (*(False for _ in context), *(True for _ in rest)), NOWHERE)
        for context, rest in asked
    ]
    batch = collate(records).to(base.device)
    predicting_BT = batch.is_target_BT[:, 1:]
    with torch.no_grad(), side.routed(len(asked)):
        hidden_PH = base.halves.hidden_BTH(batch.tokens_BT)[:, :-1][predicting_BT]
        targets_P = batch.tokens_BT[:, 1:][predicting_BT]
        nats_P, is_likeliest_P = _weighed(base.halves.logits_of, hidden_PH, targets_P)
    lengths = [len(rest) for _, rest in asked]
    for nats, likeliest in zip(nats_P.split(lengths), is_likeliest_P.split(lengths), strict=True):
        yield Likely(float(-nats.double().sum()), bool(likeliest.all()))


CHUNK = 256
"""Positions whose logits are there at once."""


def _weighed(logits_of: object, hidden_PH: Tensor, targets_P: Tensor) -> tuple[Tensor, Tensor]:
    nats, likeliest = [], []
    for hidden_CH, targets_C in zip(hidden_PH.split(CHUNK), targets_P.split(CHUNK), strict=True):
        logits_CV = logits_of(hidden_CH).float()  # type: ignore[operator]
        nats.append(torch.nn.functional.cross_entropy(logits_CV, targets_C, reduction="none"))
        likeliest.append(logits_CV.argmax(-1) == targets_C)
    return torch.cat(nats), torch.cat(likeliest)


def _is_over(said_T: Sequence[int], stop_ids: frozenset[int], tokenizer: object, until: Sequence[str]) -> bool:
    if said_T[-1] in stop_ids or any(token in stop_ids for token in said_T):
        return True
    text = tokenizer.decode(said_T)  # type: ignore[attr-defined]
    return any(stop in text for stop in until if stop)


def _text(said_T: Sequence[int], stop_ids: frozenset[int], tokenizer: object, until: Sequence[str]) -> str:
    end = next((t for t, token in enumerate(said_T) if token in stop_ids), len(said_T))
    text: str = tokenizer.decode(said_T[:end], skip_special_tokens=True)  # type: ignore[attr-defined]
    return cut_at(text, until)
