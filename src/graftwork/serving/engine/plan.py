"""What the next step computes. Pure.

A step reads one token of every request that is answering, and some of the prompts still to be read, page by page. Where
a prompt is cut follows from the prompt alone, and each piece is computed as if it were alone in the step: so an answer
does not depend on what else was under way.
"""

from __future__ import annotations

from dataclasses import dataclass

from graftwork.serving.engine.fair import next_of
from graftwork.serving.engine.pages import PAGE_TOKENS, found, num_pages_for, taken
from graftwork.serving.engine.state import Seat, State, Waiter, seated


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a step may hold.

    Attributes:
        max_running: most requests at once.
        read_tokens: about so many tokens of prompts a step, at least one page.
    """

    max_running: int
    read_tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Places `start` to `end` of a request's prompt, within one page."""

    id: str
    start: int
    end: int
    is_last: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlan:
    """One step.

    Attributes:
        state: with those who got a place.
        came_in: who did.
        singles: requests of which one token is read, the one that they said last.
        chunks: of prompts; those of one request follow each other.
    """

    state: State
    came_in: tuple[Seat, ...]
    singles: tuple[str, ...]
    chunks: tuple[Chunk, ...]


def plan_step(state: State, limits: Limits) -> StepPlan:
    """Who gets a place, and what is read.

    Nobody overtakes a request that waits for pages: else a large one would wait for ever. Proofs, which others wait
    for, may.
    """
    came_in: list[Seat] = []
    while (waiter := next_of(state)) and (len(state.running) < limits.max_running or waiter.is_urgent):
        made = _placed(state, waiter)
        if made is None:
            break
        state, seat = made
        came_in.append(seat)
    singles = tuple(seat.id for seat in state.running.values() if seat.is_read)
    return StepPlan(state=state, came_in=tuple(came_in), singles=singles, chunks=_chunks(state, limits.read_tokens))


def fits(state: State, waiter: Waiter) -> bool:
    """Whether it can ever have its places."""
    return num_pages_for(waiter.num_places) <= state.pages.num_pages


def _placed(state: State, waiter: Waiter) -> tuple[State, Seat] | None:
    shared = found(state.pages, waiter.keys)
    made = taken(state.pages, shared, num_pages_for(waiter.num_places) - len(shared))
    if made is None:
        return None
    pages, own = made
    seat = Seat(waiter=waiter, pages=own, num_shared=len(shared), num_filled=len(shared) * PAGE_TOKENS)
    return seated(state, seat, pages), seat


def _chunks(state: State, read_tokens: int) -> tuple[Chunk, ...]:
    """In the order of places, proofs first."""
    reading = [seat for seat in state.running.values() if not seat.is_read]
    chunks: list[Chunk] = []
    for seat in sorted(reading, key=lambda seat: not seat.waiter.is_urgent):
        start, num = max(seat.num_filled, seat.waiter.num_in_front), seat.waiter.num_prompt
        while start < num and (read_tokens > 0 or not chunks):
            end = min(num, (start // PAGE_TOKENS + 1) * PAGE_TOKENS)
            chunks.append(Chunk(seat.id, start, end, end == num))
            read_tokens -= end - start
            start = end
    return tuple(chunks)
