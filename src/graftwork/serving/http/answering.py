"""Answers from the engine's thread to the event loop: told as text, ended once, whatever becomes of the reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from graftwork.core.errors import WorkError
from graftwork.serving.asked import Ask, Sampling, Served, Update
from graftwork.serving.http.errors import RETRY_AFTER_S, ReaderGoneError, later
from graftwork.serving.http.parts import Parts
from graftwork.serving.http.seams import Asking, Ended
from graftwork.serving.http.text.telling import End, Piece, Placed, Telling

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of the engine for one HTTP request.

    Attributes:
        prompts_P_T: each is answered `n` times.
        sampling: of the first answer to each prompt; the seed of the next is one more.
    """

    asking: Asking
    prompts_P_T: tuple[tuple[int, ...], ...]
    n: int
    sampling: Sampling
    stops: tuple[str, ...]

    @property
    def most_tokens(self) -> int:
        """Of prompts and answers, at the most."""
        answers = len(self.prompts_P_T) * self.n * self.sampling.max_new_tokens
        return sum(map(len, self.prompts_P_T)) + answers

    def asks(self, served: Served, stop_ids: frozenset[int]) -> list[Ask]:
        """What the engine is to answer, prompt by prompt."""
        return [
            Ask(
                id=f"{self.asking.id}-{place * self.n + number}",
                tenant=self.asking.who.tenant,
                served=served,
                prompt_T=prompt_T,
                sampling=replace(self.sampling, seed=self.sampling.seed + number),
                stop_ids=stop_ids,
            )
            for place, prompt_T in enumerate(self.prompts_P_T)
            for number in range(self.n)
        ]


@dataclass(frozen=True, slots=True)
class Spoken:
    """More of one answer; its last has `end`."""

    index: int
    text: str
    tokens: tuple[Placed, ...]
    end: End | None


@dataclass(slots=True)
class Choice:
    """One answer as it comes."""

    ask: Ask
    telling: Telling
    tokens_T: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    cached_tokens: int = 0
    is_over: bool = False


class Answers:
    """All answers to one question, as they come."""

    def __init__(self, parts: Parts, question: Question, served: Served) -> None:
        self.parts, self.question, self.served = parts, question, served
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[tuple[int, Update]] = deque()
        self._news, self._in_engine = asyncio.Event(), 0
        self._is_closed = self._has_overflown = False
        self.choices = [
            Choice(ask, Telling(parts.speech.texts, question.stops, parts.guard.filters(question.asking)))
            for ask in question.asks(served, parts.speech.chat.stop_ids)
        ]

    def submit(self) -> None:
        """Hand everything to the engine, or nothing stays there. Raises as `Engine.submit`."""
        try:
            for index, choice in enumerate(self.choices):
                self.parts.engine.submit(choice.ask, partial(self._told, index))
                self._in_engine += 1
                self.parts.watcher.begun(choice.ask, self.question.asking.who)
        except BaseException:
            self.choices = self.choices[: self._in_engine]
            self.close()
            if not self._in_engine:
                self.parts.models.release(self.served)
            raise

    async def spoken(self) -> AsyncIterator[Spoken | None]:
        """What is told, as it comes; None when nothing came for a while.

        Raises:
            WorkError: an answer failed.
            ApiError: the server ends before the answers do.
        """
        while any(not choice.is_over for choice in self.choices):
            if not self._inbox:
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.parts.spec.times.heartbeat_s):
                        await self._news.wait()
                if not self._inbox:
                    yield None
                continue
            index, update = self._inbox.popleft()
            if not self.choices[index].is_over:
                yield self._more(index, update)

    def close(self) -> None:
        """Nobody wants more of it: what is not over is cancelled; the model is let go once the engine is done."""
        if self._is_closed:
            return
        self._is_closed = True
        self._inbox.clear()
        for choice in self.choices:
            if not choice.is_over:
                self._over(choice, "cancelled")
        said = sum(len(choice.tokens_T) for choice in self.choices)
        unused = self.question.most_tokens - sum(map(len, self.question.prompts_P_T)) - said
        self.parts.limits.give_back(self.question.asking.who, unused)

    def _told(self, index: int, update: Update) -> None:
        """Called in the engine's thread."""
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            self._loop.call_soon_threadsafe(self._put, index, update)

    def _put(self, index: int, update: Update) -> None:
        if update.finish is not None:
            self._in_engine -= 1
            if not self._in_engine:
                self.parts.models.release(self.served)
        if self._is_closed:
            return
        self._inbox.append((index, update))
        if len(self._inbox) > self.parts.spec.limits.unread and not self._has_overflown:
            self._has_overflown = True
            for choice in self.choices:
                self.parts.engine.cancel(choice.ask.id)
        self._news.set()

    def _more(self, index: int, update: Update) -> Spoken:
        choice = self.choices[index]
        choice.cached_tokens = max(choice.cached_tokens, update.cached_tokens)
        pieces = self._pieces(choice, update)
        end = choice.telling.end
        if end is None and update.finish in ("stop", "length"):
            pieces.append(choice.telling.close(is_cut=update.finish == "length"))
            end = choice.telling.end or update.finish
        text = "".join(piece.text for piece in pieces)
        choice.texts.append(text)
        if end is not None:
            self._over(choice, end)
        elif update.finish is not None:
            raise self._not_whole(choice, update)
        return Spoken(index, text, tuple(token for piece in pieces for token in piece.tokens), end)

    def _pieces(self, choice: Choice, update: Update) -> list[Piece]:
        pieces: list[Piece] = []
        for said in update.said:
            if choice.telling.end:
                break
            if not choice.tokens_T:
                self.parts.watcher.first_token(choice.ask)
            choice.tokens_T.append(said.token)
            pieces.append(choice.telling.push(said))
        return pieces

    def _not_whole(self, choice: Choice, update: Update) -> Exception:
        """Why an answer did not come to its end."""
        self._over(choice, str(update.finish), update.reason)
        if update.finish == "failed":
            return WorkError(f"The answer failed: {update.reason}")
        if self._has_overflown:
            return ReaderGoneError()
        message = "This server ended before the answer did; what came of it is not whole."
        return later(503, message, RETRY_AFTER_S, code="server_ended")

    def _over(self, choice: Choice, finish: str, reason: str = "") -> None:
        choice.is_over = True
        if finish not in ("stop", "length") or choice.telling.end:
            self.parts.engine.cancel(choice.ask.id)
        ended = Ended(
            finish=finish,
            tokens_T=tuple(choice.tokens_T),
            text="".join(choice.texts),
            cached_tokens=choice.cached_tokens,
            filters=choice.telling.filters,
            reason=reason,
        )
        self.parts.watcher.finished(choice.ask, ended)


async def begun(parts: Parts, question: Question) -> Answers:
    """Have a question answered.

    Raises:
        GraftworkError: as `Models.acquire`, `Engine.submit` and `Limits.take` do.
    """
    who = question.asking.who
    parts.limits.take(who, question.most_tokens)
    try:
        served = await parts.models.acquire(who, question.asking.model)
    except BaseException:
        parts.limits.give_back(who, question.most_tokens)
        raise
    answers = Answers(parts, question, served)
    answers.submit()
    return answers


async def until_gone(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]], work: Awaitable[T], deadline_s: float
) -> T:
    """Do work for whoever asked, while they are there, until a moment of the loop's clock.

    Raises:
        ReaderGoneError: they went away; the work was cancelled.
        TimeoutError: it took too long.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        async with asyncio.timeout_at(deadline_s):
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ReaderGoneError
    finally:
        await _ended((task, gone))


async def _disconnected(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
