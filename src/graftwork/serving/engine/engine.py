"""The engine: a thread that takes requests in and lets them out at every step, all adapters in one pass.

The state is a value; a step is planned by a pure function, computed, and the state moved on. Only this thread touches
the base, the bank's members and the cache.

Source: iteration-level scheduling: Yu et al. 2022 (Orca), https://www.usenix.org/conference/osdi22/presentation/yu,
section 3.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Thread
from typing import TypeVar

import torch
from torch import Tensor

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.sites.elsewhere import kept_elsewhere
from graftwork.base.packed import packed
from graftwork.base.quick import quick
from graftwork.base.threads import give_back
from graftwork.core.errors import CapacityError, ConflictError, GraftworkError, OverloadedError
from graftwork.serving.asked import Ask, EngineReport, Finish, Update
from graftwork.serving.engine.admission import Room, refuse_impossible
from graftwork.serving.engine.cache import Cache, bytes_per_page, layers_of
from graftwork.serving.engine.fair import READ_COST, SAID_COST
from graftwork.serving.engine.live import Live
from graftwork.serving.engine.pages import PAGE_TOKENS, keys_of
from graftwork.serving.engine.plan import Limits, StepPlan, plan_step
from graftwork.serving.engine.state import Waiter, begun, joined, left, read, said
from graftwork.serving.engine.steady import steady_multiple
from graftwork.serving.engine.step import Voice, computed, laid_out
from graftwork.serving.engine.voices import Voices
from graftwork.serving.inbox import Inbox, Joins, Leaves, Works

T = TypeVar("T")
LOG = logging.getLogger("graftwork.serving")


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLimits:
    """What an engine may use.

    Attributes:
        cache_bytes: for keys and values, all layers together; taken at the start.
        max_running: most requests in a step.
        max_waiting: most requests without a place.
        read_tokens: about so many tokens of prompts a step.
        threads: of the processor; those of the process when None.
        packs_weights: linear layers in bfloat16 on a CPU answer from a copy laid out for its products: a third faster
            for few rows, and their memory once more.
    """

    cache_bytes: int = 1 << 30
    max_running: int = 64
    max_waiting: int = 1024
    read_tokens: int = 256
    threads: int | None = None
    packs_weights: bool = True


@dataclass(slots=True)
class Counts:
    """Since the start."""

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0


class BatchEngine:
    """An `Engine` (see `serving.interface`) over one bank.

    Attributes:
        multiple: rows are filled up to a multiple of this; None where no multiple makes a row the same in every batch,
            so that last bits of answers may depend on what else is under way.

    Raises:
        CapacityError: the cache has no room for a single page.
        SpecError: the base computes attention in a way that cannot be cut.
    """

    def __init__(self, bank: AdapterBank, limits: EngineLimits | None = None) -> None:
        self.bank, self.limits = bank, limits or EngineLimits()
        layers, dtype = layers_of(bank), bank.host.model.dtype
        num_pages = self.limits.cache_bytes // bytes_per_page(layers, dtype)
        if not num_pages:
            needed = bytes_per_page(layers, dtype)
            raise CapacityError(f"the cache has {self.limits.cache_bytes} bytes; a page alone has {needed}.")
        self._stack = ExitStack()
        self._stack.enter_context(quick(bank.host.model))
        if self.limits.packs_weights:
            self._stack.enter_context(packed(bank.host.model))
        self.multiple = steady_multiple(bank)
        self._cache = Cache(layers, num_pages, dtype, bank.host.device)
        self._voices, self._inbox, self._counts = Voices(bank), Inbox(), Counts()
        self._room = Room(
            vocab_size=int(bank.base.model.config.get_text_config().vocab_size),
            context_tokens=bank.host.facts.context_tokens,
            cache_tokens=num_pages * PAGE_TOKENS,
        )
        self._state, self._live = begun(num_pages), dict[str, Live]()
        self._number, self._is_draining = 0, False
        give_back()
        self._thread = Thread(target=self._run, name="graftwork engine", daemon=True)
        self._thread.start()

    def submit(self, ask: Ask, told: Callable[[Update], None]) -> None:
        """See `Engine`."""
        num_in_front = self._voices.num_in_front(ask.served.row)
        refuse_impossible(ask, num_in_front, self._room)
        if self._is_draining:
            raise OverloadedError("the server is shutting down and takes no more requests.", retry_after_s=5)
        num_waiting = len(self._state.waiting) + self._inbox.num_joining()
        self._inbox.join(ask, told, num_waiting=num_waiting, most_waiting=self.limits.max_waiting)

    def cancel(self, id: str) -> None:
        """See `Engine`."""
        self._inbox.put(Leaves(id))

    def between_steps(self, work: Callable[[], T]) -> Future[T]:
        """See `Engine`."""
        return self._inbox.work(work)

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive() and not self._inbox.is_closed

    def report(self) -> EngineReport:
        """See `Engine`."""
        state, counts, pages = self._state, replace(self._counts), self._state.pages
        return EngineReport(
            waiting=len(state.waiting) + self._inbox.num_joining(),
            running=len(state.running),
            kv_tokens=len(pages.holders) * PAGE_TOKENS,
            kv_tokens_kept=len(pages.idle) * PAGE_TOKENS,
            kv_tokens_total=pages.num_pages * PAGE_TOKENS,
            steps=counts.steps,
            prompt_tokens=counts.prompt_tokens,
            cached_tokens=counts.cached_tokens,
            new_tokens=counts.new_tokens,
        )

    def drain(self) -> None:
        """See `Engine`."""
        self._is_draining = True

    def close(self) -> None:
        """See `Engine`."""
        self._is_draining = True
        self._inbox.close()
        self._thread.join()
        self._stack.close()

    def _run(self) -> None:
        if self.limits.threads:
            torch.set_num_threads(self.limits.threads)  # of this thread: OpenMP keeps the number by thread
        try:
            with torch.no_grad(), kept_elsewhere(self.bank):
                while not self._inbox.is_closed:
                    if not self._live:
                        give_back()
                    self._hear(waits=not self._live)
                    if self._live:
                        self._step()
        except Exception:
            LOG.exception("the engine has ended")
        self._inbox.close()
        self._hear(waits=False)  # what came before the end was said
        for id_ in list(self._live):
            self._end(id_, "cancelled")

    def _hear(self, *, waits: bool) -> None:
        for one in self._inbox.taken(waits=waits):
            if isinstance(one, Works):
                one.do(self._voices.forget_gone)
            elif isinstance(one, Leaves):
                self._end(one.id, "cancelled")
            else:
                self._join(one)

    def _join(self, one: Joins) -> None:
        ask = one.ask
        try:
            if ask.id in self._live:
                raise ConflictError(f"a request {ask.id!r} is under way already.")
            voice = self._voices.of(ask.served.row)
        except GraftworkError as error:
            one.told(Update(finish="failed", reason=str(error)))
            return
        self._number += 1
        in_front = voice.front.num_positions
        waiter = Waiter(
            id=ask.id,
            number=self._number,
            tenant=ask.tenant,
            content=ask.served.content,
            num_in_front=in_front,
            num_prompt=in_front + len(ask.prompt_T),
            max_new=ask.sampling.max_new_tokens,
            keys=keys_of(ask.served.content, in_front, ask.prompt_T),
            is_urgent=ask.is_urgent,
        )
        self._live[ask.id] = Live(ask, one.told, voice)
        self._state = joined(self._state, waiter)

    def _step(self) -> None:
        plan = plan_step(self._state, Limits(max_running=self.limits.max_running, read_tokens=self.limits.read_tokens))
        self._state = plan.state
        for seat in plan.came_in:
            live = self._live[seat.id]
            live.cached_tokens = max(0, seat.num_filled - seat.waiter.num_in_front)
            if seat.num_filled < seat.waiter.num_in_front:
                front = live.voice.front
                self._cache.put_front(front.left, seat.pages, seat.num_filled, front.num_positions)
        try:
            wanted, logits_RV = self._computed(plan)
        except Exception as error:
            LOG.exception("a step failed")
            for id_ in {*plan.singles, *(chunk.id for chunk in plan.chunks)}:
                self._end(id_, "failed", f"computing the answer failed: {type(error).__name__}.")
            return
        self._advance(plan, wanted, logits_RV)

    def _computed(self, plan: StepPlan) -> tuple[list[str], Tensor]:
        voices: dict[str, Voice] = {id_: live.voice for id_, live in self._live.items()}
        multiple = self.multiple or 1
        layout = laid_out(plan, voices, {id_: live.tokens for id_, live in self._live.items()}, multiple)
        return list(layout.wanted), computed(self.bank, self._voices.slots, self._cache, layout, multiple)

    def _advance(self, plan: StepPlan, wanted: list[str], logits_RV: Tensor) -> None:
        self._counts.steps += 1
        state = self._state
        for chunk in plan.chunks:
            self._counts.prompt_tokens += chunk.end - chunk.start
            state = read(state, chunk.id, chunk.end)
        costs = dict.fromkeys(wanted, SAID_COST)
        for chunk in plan.chunks:
            if chunk.is_last:
                live = self._live[chunk.id]
                self._counts.cached_tokens += live.cached_tokens
                costs[chunk.id] += READ_COST * (len(live.ask.prompt_T) - live.cached_tokens)
        self._state = said(state, costs, frozenset(plan.singles))
        self._counts.new_tokens += len(wanted)
        if not wanted:
            return
        if logits_RV.dtype.itemsize < 4:
            logits_RV = logits_RV.float()  # torch finds the largest of bfloat16 ten times as slowly
        least_R, most_R = torch.aminmax(logits_RV, dim=1)
        is_whole_R, best_R = (least_R.isfinite() & most_R.isfinite()).tolist(), logits_RV.argmax(dim=1).tolist()
        for id_, logits_V, is_whole, best in zip(wanted, logits_RV, is_whole_R, best_R, strict=True):
            if not is_whole:
                self._end(id_, "failed", "the adapter's logits are not finite.")
            elif finish := self._say(id_, logits_V, best):
                self._end(id_, finish, is_told=finish != "failed")

    def _say(self, id_: str, logits_V: Tensor, best: int) -> Finish | None:
        try:
            return self._live[id_].say(logits_V, best)
        except Exception:  # this request ends with it, the others go on
            LOG.exception("no token can be chosen for request %s", id_)
            return "failed"

    def _end(self, id_: str, finish: Finish, reason: str = "", *, is_told: bool = False) -> None:
        live = self._live.pop(id_, None)
        self._state = left(self._state, id_)
        if live and not is_told:
            live.tell(Update(finish=finish, reason=reason, cached_tokens=live.cached_tokens))
