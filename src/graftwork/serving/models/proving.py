"""Logits from an engine for the proof that an adapter acts: asked as a client would ask, before everybody else."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING

from graftwork.core.errors import IntegrityError, OverloadedError
from graftwork.serving.asked import Ask, Sampling, Served, Update
from graftwork.serving.models.judging import Verdict, judge
from graftwork.serving.models.memory import RETRY_S

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.logits import DtypeName, LogitFingerprint
    from graftwork.serving.interface import Engine

TENANT = "(proofs)"
"""Whom proofs are counted for; no tenant of a registry can be called so."""

KEPT_PROMPTS = 64
"""Prompts of which the base's logits are kept."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine told about a prompt.

    Attributes:
        logits_V: float32.
        is_relative: whether they are log-probabilities: logits but for a constant.
    """

    logits_V: Tensor
    is_relative: bool


class Prover:
    """Asks an engine and judges. Every method belongs to one event loop."""

    def __init__(self, engine: Engine, base: Served, *, dtype: DtypeName) -> None:
        """Prepare to ask.

        Args:
            base: what answers without any adapter.
            dtype: number format of the base.
        """
        self.engine, self.base, self.dtype = engine, base, dtype
        self._of_base: OrderedDict[tuple[int, ...], Told] = OrderedDict()

    async def verdict(self, served: Served, recorded: LogitFingerprint) -> Verdict:
        """Whether `served`, which is in the bank, is the adapter on record and acts.

        Raises:
            IntegrityError: the engine cannot answer, or not with numbers.
            SpecError: it can never answer such prompts.
            OverloadedError: it takes no requests now.
        """
        asked = recorded.asked
        adapter = asyncio.gather(*(told_of(self.engine, served, one.tokens) for one in asked))  # in one step
        base = asyncio.gather(*(self._base_logits(one.tokens) for one in asked))
        of_adapter, of_base = await asyncio.gather(adapter, base)
        adapter_PK, base_PK = (
            [told.logits_V[list(one.ids)].tolist() for one, told in zip(asked, found, strict=True)]
            for found in (of_adapter, of_base)
        )
        is_relative = any(told.is_relative for told in (*of_adapter, *of_base))
        return judge(recorded, adapter_PK, base_PK, dtype=self.dtype, is_relative=is_relative)

    async def _base_logits(self, tokens_T: tuple[int, ...]) -> Told:
        if tokens_T not in self._of_base:
            self._of_base[tokens_T] = await told_of(self.engine, self.base, tokens_T)
            if len(self._of_base) > KEPT_PROMPTS:
                self._of_base.popitem(last=False)
        return self._of_base[tokens_T]


async def logits_of(engine: Engine, served: Served, tokens_T: Sequence[int]) -> Tensor:
    """logits_V, float32, after the last of `tokens_T`; log-probabilities from an engine that tells no more. Raises as
    `Prover.verdict`."""
    return (await told_of(engine, served, tokens_T)).logits_V


async def told_of(engine: Engine, served: Served, tokens_T: Sequence[int]) -> Told:
    """What the engine tells of the logits after the last of `tokens_T`. Raises as `Prover.verdict`."""
    id_ = f"proof-{token_hex(8)}"
    ask = Ask(
        id=id_,
        tenant=TENANT,
        served=replace(served, content=id_),  # keys and values that an earlier load left would prove that one
        prompt_T=tuple(tokens_T),
        sampling=Sampling(max_new_tokens=1, temperature=0.0),
        stop_ids=frozenset(),
        keeps_logits=True,
        is_urgent=True,
    )
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[list[Update]] = loop.create_future()
    engine.submit(ask, _collecting(loop, ended))
    try:
        updates = await ended
    except asyncio.CancelledError:
        engine.cancel(ask.id)
        raise
    return _logits_in(updates)


def _collecting(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[list[Update]]) -> Callable[[Update], None]:
    """What is told in the engine's thread comes to the loop when it is whole."""
    updates: list[Update] = []

    def told(update: Update) -> None:
        updates.append(update)
        if update.finish is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_end, ended, updates)

    return told


def _end(ended: asyncio.Future[list[Update]], updates: list[Update]) -> None:
    if not ended.done():
        ended.set_result(updates)


def _logits_in(updates: Sequence[Update]) -> Told:
    last = updates[-1]
    if last.finish == "failed":
        raise IntegrityError(f"the engine cannot answer with it: {last.reason}")
    if last.finish == "cancelled":
        raise OverloadedError("the engine is closing.", retry_after_s=RETRY_S)
    for update in updates:
        if update.logits_V is not None:
            return Told(update.logits_V, is_relative=False)
        if update.logprobs_V is not None:
            return Told(update.logprobs_V, is_relative=True)
    raise IntegrityError("the engine told no logits, so it cannot be proved that the adapter acts.")
