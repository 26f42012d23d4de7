"""Whoever watches a server: every answer is counted, logged and given a receipt."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from graftwork.registry.access.roles import Principal
from graftwork.serving.asked import Ask
from graftwork.serving.guard.finding import Intervention
from graftwork.serving.guard.guard import Guard
from graftwork.serving.guard.stream import GuardedStream
from graftwork.serving.http.seams import Asking, Ended
from graftwork.serving.operations.logs import AnswerLog, LogEntry
from graftwork.serving.operations.metrics import Finished, Metrics
from graftwork.serving.operations.receipts import Answered
from graftwork.serving.operations.writing import ReceiptWriter

T = TypeVar("T")
MOST_NOTES = 10_000
"""Requests that are remembered; of those before them only what their answers tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What is known of a request besides its answers.

    Attributes:
        body: SHA-256 of its body.
        stops: texts that end its answers.
        texts: what is asked, for a log with contents.
        interventions: what the guard did to it.
    """

    body: str | None = None
    stops: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    interventions: tuple[Intervention, ...] = ()


@dataclass(slots=True)
class _Begun:
    who: Principal
    began_s: float
    first_s: float | None = field(default=None)


class Recorder:
    """The `Watcher` of a server. It belongs to the event loop's thread, but for `guarded`."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        log: AnswerLog | None = None,
        receipts: ReceiptWriter | None = None,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """What is None is not done.

        Args:
            clock: seconds since 1970.
            monotonic: seconds that never go back.
        """
        self.metrics, self._log, self._receipts, self._guard = metrics, log, receipts, guard
        self._clock, self._monotonic = clock, monotonic
        self._notes: OrderedDict[str, Note] = OrderedDict()
        self._begun: dict[str, _Begun] = {}
        self._digests: OrderedDict[str, str] = OrderedDict()

    def asked(self, asking: Asking, body: str, stops: tuple[str, ...]) -> None:
        """As `Watcher.asked`."""
        note = self._notes.get(asking.id, Note())
        _keep(self._notes, asking.id, replace(note, body=body, stops=stops, texts=asking.texts))

    def guarded(self, asking: Asking, done: Sequence[Intervention]) -> None:
        """The guard did something to a prompt."""
        for one in done:
            self.metrics.guarded(one)
        _keep(self._notes, asking.id, replace(self._notes.get(asking.id, Note()), interventions=tuple(done)))

    def begun(self, ask: Ask, who: Principal) -> None:
        """As `Watcher.begun`."""
        self._begun[ask.id] = _Begun(who, self._monotonic())

    def first_token(self, ask: Ask) -> None:
        """As `Watcher.first_token`."""
        if ask.id in self._begun:
            self._begun[ask.id].first_s = self._monotonic()

    def finished(self, ask: Ask, ended: Ended) -> None:
        """As `Watcher.finished`."""
        begun = self._begun.pop(ask.id, None)
        if begun is None:
            return
        now_s = self._monotonic()
        note = self._notes.get(ask.id.rpartition("-")[0], Note())
        done = [one for stream in ended.filters if isinstance(stream, GuardedStream) for one in stream.interventions]
        for one in done:
            self.metrics.guarded(one)
        self.metrics.finished(_finished(ask, ended, begun, now_s))
        all_done = [*note.interventions, *done]
        receipt = self._receipt(ask, ended, note, all_done)
        if self._log is not None:
            entry = _entry(ask, ended, begun, now_s)
            counts = Counter(f"{one.filter} {one.action}" for one in all_done)
            self._log.answer(replace(entry, receipt=receipt, interventions=dict(counts)), note.texts, ended.text)

    def answered(self, method: str, path: str, status: int, who: Principal | None, seconds: float) -> None:
        """As `Watcher.answered`."""
        self.metrics.answered(method, path, status, seconds)
        if self._log is not None:
            self._log.request(method, path, status, f"{who.tenant}/{who.actor}" if who else None, seconds)

    def receipt(self, ask_id: str) -> str | None:
        """As `Watcher.receipt`; None too of one that is long over."""
        return self._digests.get(ask_id)

    def _receipt(self, ask: Ask, ended: Ended, note: Note, done: Sequence[Intervention]) -> str | None:
        if self._receipts is None:
            return None
        answered = Answered(
            ask=ask,
            time_us=int(self._clock() * 1e6),
            tokens_T=ended.tokens_T,
            text=ended.text,
            finish=ended.finish,
            stops=note.stops,
            policy=self._guard.for_model(ask.served.name).digest if self._guard else None,
            interventions=done,
            body=note.body,
        )
        digest = self._receipts.put(answered)
        _keep(self._digests, ask.id, digest)
        return digest


def _keep(notes: OrderedDict[str, T], key: str, value: T) -> None:
    notes[key] = value
    if len(notes) > MOST_NOTES:
        notes.popitem(last=False)


def _finished(ask: Ask, ended: Ended, begun: _Begun, now_s: float) -> Finished:
    return Finished(
        model=ask.served.name,
        finish=ended.finish,
        prompt_tokens=len(ask.prompt_T),
        cached_tokens=ended.cached_tokens,
        new_tokens=len(ended.tokens_T),
        first_s=None if begun.first_s is None else begun.first_s - begun.began_s,
        rest_s=0.0 if begun.first_s is None else now_s - begun.first_s,
    )


def _entry(ask: Ask, ended: Ended, begun: _Begun, now_s: float) -> LogEntry:
    return LogEntry(
        id=ask.id,
        tenant=ask.tenant,
        actor=begun.who.actor,
        model=ask.served.name,
        version=ask.served.version,
        prompt_tokens=len(ask.prompt_T),
        cached_tokens=ended.cached_tokens,
        new_tokens=len(ended.tokens_T),
        first_s=None if begun.first_s is None else round(begun.first_s - begun.began_s, 6),
        total_s=round(now_s - begun.began_s, 6),
        finish=ended.finish,
        error=ended.reason,
    )
