"""Greedy answers from base and adapters in one batch: each row goes to its own adapter, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from graftwork.core.errors import Problem, SpecError, WorkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftwork.adapters.bank import AdapterBank, Handle

    Prompt = Sequence[Mapping[str, str]]


def answers(
    bank: AdapterBank, prompts: Sequence[Prompt], rows: Sequence[Handle | None], *, max_new_tokens: int
) -> list[str]:
    """What each row's model says to its prompt, greedily.

    Args:
        prompts: conversations, one a row.
        rows: the adapter of each row; None is the base.
        max_new_tokens: most tokens of an answer; it ends earlier at a stop token.

    Raises:
        SpecError: a prompt leaves no room for an answer in the base's context.
    """
    if len(prompts) != len(rows) or not prompts:
        raise WorkError(f"{len(rows)} rows for {len(prompts)} prompts; each prompt needs one, and there must be one.")
    chat = bank.base.chat
    prompts_B_T = [chat.prompt(prompt) for prompt in prompts]
    _refuse_too_long(prompts_B_T, bank.base.facts.context_tokens, max_new_tokens)
    longest = max(map(len, prompts_B_T))
    pad_id = min(chat.stop_ids, default=0)
    padded = [[pad_id] * (longest - len(p)) + p for p in prompts_B_T]
    mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts_B_T]
    device = bank.base.device
    with torch.no_grad(), bank.route(rows):
        generate: Any = bank.base.model.generate
        tokens_BT = generate(
            input_ids=torch.tensor(padded, device=device),
            attention_mask=torch.tensor(mask, device=device),
            generation_config=GenerationConfig(
                max_new_tokens=max_new_tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=pad_id,
                eos_token_id=sorted(chat.stop_ids) or None,
            ),
        )
    return [chat.tokenizer.decode(row[longest:], skip_special_tokens=True).strip() for row in tokens_BT]


def _refuse_too_long(prompts_B_T: Sequence[Sequence[int]], context: int | None, max_new_tokens: int) -> None:
    problems = [
        Problem(f"prompt {i + 1}", f"{len(p)} tokens", f"at most {context - max_new_tokens} for this base")
        for i, p in enumerate(prompts_B_T)
        if context is not None and len(p) + max_new_tokens > context
    ]
    if problems:
        raise SpecError(problems)
