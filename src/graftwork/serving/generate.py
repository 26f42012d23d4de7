"""Greedy answers from base and adapters in one batch: each row goes to its own adapter, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from graftwork.core.errors import Problem, SpecError, WorkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftwork.adapters.bank import AdapterBank, Row
    from graftwork.base.head import Halves

    Prompt = Sequence[Mapping[str, str]]


def answers(bank: AdapterBank, prompts: Sequence[Prompt], rows: Sequence[Row], *, max_new_tokens: int) -> list[str]:
    """What each row's model says to its prompt, greedily.

    Args:
        prompts: conversations, one a row.
        rows: the adapter of each row, or several, one on top of the other; None is the base.
        max_new_tokens: most tokens of an answer; it ends earlier at a stop token.

    Raises:
        WorkError: there are other rows than prompts, or none.
        SpecError: a prompt leaves no room for an answer in the base's context.
    """
    if len(prompts) != len(rows) or not prompts:
        raise WorkError(f"{len(rows)} rows for {len(prompts)} prompts; each prompt needs one, and there must be one.")
    chat = bank.base.chat
    prompts_B_T = [chat.prompt(prompt) for prompt in prompts]
    _refuse_too_long(prompts_B_T, bank.base.facts.context_tokens, max_new_tokens)
    longest = max(map(len, prompts_B_T))
    device = bank.base.device
    tokens_BT = torch.tensor([[0] * (longest - len(p)) + p for p in prompts_B_T], device=device)
    mask_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts_B_T], device=device)
    cache = DynamicCache(config=bank.base.model.config)
    with torch.no_grad(), bank.route(rows):
        said_BN = _greedy(bank.base.halves, cache, tokens_BT, mask_BT, chat.stop_ids, max_new_tokens)
    return [chat.tokenizer.decode(_until_stop(row, chat.stop_ids), skip_special_tokens=True).strip() for row in said_BN]


def _greedy(
    split: Halves, cache: Any, tokens_BT: Tensor, mask_BT: Tensor, stop_ids: frozenset[int], max_new_tokens: int
) -> list[list[int]]:
    """`greedy_tokens` until every row has stopped, or has said so many."""
    stops = torch.tensor(sorted(stop_ids), device=tokens_BT.device)
    stopped_B = torch.zeros(len(tokens_BT), dtype=torch.bool, device=tokens_BT.device)
    said: list[Tensor] = []
    for next_B in islice(greedy_tokens(split, cache, tokens_BT, mask_BT), max_new_tokens):
        said.append(next_B)
        stopped_B |= torch.isin(next_B, stops)
        if stopped_B.all():
            break
    rows: list[list[int]] = torch.stack(said, dim=1).tolist()
    return rows


def greedy_tokens(split: Halves, cache: Any, tokens_BT: Tensor, mask_BT: Tensor) -> Iterator[Tensor]:
    """The most likely token after each row, next_B, then the one after that, without an end. Nothing is computed ahead.

    Args:
        tokens_BT: padded on the left.
        mask_BT: 0 where it is padded.
    """
    positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    while True:
        hidden_BTH = split.body(
            input_ids=tokens_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        # contiguous: with a strided view torch 2.13 copies the head's weight once a row on the CPU, gigabytes of it
        next_B = split.logits_of(hidden_BTH[:, -1].contiguous()).argmax(-1)
        yield next_B
        tokens_BT = next_B[:, None]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], dim=1)
        positions_BT = positions_BT[:, -1:] + 1


def _until_stop(tokens: Sequence[int], stop_ids: frozenset[int]) -> list[int]:
    ends = [i for i, token in enumerate(tokens) if token in stop_ids]
    return list(tokens[: ends[0]] if ends else tokens)


def _refuse_too_long(prompts_B_T: Sequence[Sequence[int]], context: int | None, max_new_tokens: int) -> None:
    problems = [
        Problem(f"prompt {i + 1}", f"{len(p)} tokens", f"at most {context - max_new_tokens} for this base")
        for i, p in enumerate(prompts_B_T)
        if context is not None and len(p) + max_new_tokens > context
    ]
    if problems:
        raise SpecError(problems)
