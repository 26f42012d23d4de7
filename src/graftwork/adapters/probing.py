"""Logits of a base and its adapters after fixed prompts, and the fingerprint made of them.

Legend: T tokens, V vocabulary, K tokens whose logits are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from graftwork.adapters.files import read_adapter
from graftwork.adapters.logits import (
    FILE,
    KEPT,
    MOST_TOKENS,
    PROMPTS,
    Asked,
    DtypeName,
    LogitFingerprint,
    digest_of_prompt,
    fingerprint_bytes,
    message_of,
    rounded,
)
from graftwork.base.quantised import scheme_of
from graftwork.core.errors import IntegrityError
from graftwork.core.files import write_bytes
from graftwork.core.spec import parse

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank, Handle, Row
    from graftwork.base.load import Base


def put_fingerprint(folder: Path, bank: AdapterBank, below: Sequence[Handle] = ()) -> LogitFingerprint:
    """Write the fingerprint of the adapter in `folder` beside it, as it acts when read back from there.

    Args:
        bank: of the base that it was trained on; afterwards as it was.
        below: what it stands on, the lowest first.

    Raises:
        IntegrityError: what lies there is not what was written, or its logits are no finite numbers.
    """
    loaded = read_adapter(folder, bank.base)
    assert loaded.card is not None, "a folder that was just written has a card"
    handle = bank.add(loaded.adapter, name=folder.name)
    try:
        made = fingerprint_of(bank, (*below, handle), digest=loaded.card.digest)
    finally:
        bank.remove(handle)
    write_bytes(folder / FILE, fingerprint_bytes(made))
    return made


def fingerprint_of(bank: AdapterBank, row: Sequence[Handle], *, digest: str) -> LogitFingerprint:
    """What the last adapter of `row` does on all the others, recorded.

    Args:
        digest: of that adapter.
    """
    base = bank.base
    return LogitFingerprint(
        adapter=digest,
        base=base.fingerprint.digest,
        dtype=dtype_name(base),
        quantised=scheme_of(base.model),
        asked=tuple(_asked(bank, row, prompt) for prompt in PROMPTS),
    )


def dtype_name(base: Base) -> DtypeName:
    """What a base's number format is called."""
    name = str(base.model.dtype).removeprefix("torch.")
    return next(known for known in get_args(DtypeName) if known == name)


@torch.no_grad()
def logits_after(bank: AdapterBank, row: Row, tokens_T: Sequence[int]) -> Tensor:
    """logits_V after the last of `tokens_T`, in float32 on the CPU, as training computes them: without a cache."""
    base = bank.base
    with bank.route([row]):
        hidden_BTH = base.halves.hidden_BTH(torch.tensor([list(tokens_T)], device=base.device))
        return base.halves.logits_of(hidden_BTH[:, -1].contiguous())[0].float().cpu()


def _asked(bank: AdapterBank, row: Sequence[Handle], prompt: str) -> Asked:
    tokens_T = bank.base.chat.prompt(message_of(prompt))[-_most_tokens(bank.base) :]
    adapter_V = logits_after(bank, tuple(row), tokens_T)
    if not adapter_V.isfinite().all():
        raise IntegrityError("the adapter's logits are no finite numbers, so it cannot be used. Train it again.")
    ids = adapter_V.sort(descending=True, stable=True).indices[:KEPT].tolist()
    raw = {
        "prompt": digest_of_prompt(prompt),
        "tokens": tokens_T,
        "ids": ids,
        "adapter": _at(adapter_V, ids),
        "base": _at(logits_after(bank, None, tokens_T), ids),
        "under": _at(logits_after(bank, tuple(row[:-1]), tokens_T), ids) if len(row) > 1 else None,
    }
    return parse(Asked, raw)


def _most_tokens(base: Base) -> int:
    """Half of what a base can read: adapters may put something in front."""
    context = base.facts.context_tokens
    return MOST_TOKENS if context is None else max(1, min(MOST_TOKENS, context // 2))


def _at(logits_V: Tensor, ids: Sequence[int]) -> list[float]:
    kept: list[float] = logits_V[list(ids)].tolist()
    return [rounded(logit) for logit in kept]
