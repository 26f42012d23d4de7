"""What can never be answered is refused before it waits. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from graftwork.core.errors import Problem, SpecError
from graftwork.serving.asked import Ask


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What there is for a request.

    Attributes:
        vocab_size: tokens that the base knows.
        context_tokens: most tokens that it reads; None where nothing limits it.
        cache_tokens: places in the whole cache.
    """

    vocab_size: int
    context_tokens: int | None
    cache_tokens: int


def refuse_impossible(ask: Ask, num_in_front: int, room: Room) -> None:
    """Raise SpecError where the request is empty, names unknown tokens, or is too long for the base or the cache."""
    asked, num_prompt = ask.sampling.max_new_tokens, len(ask.prompt_T)
    problems = [
        Problem(where, token, f"tokens from 0 to {room.vocab_size - 1}")
        for where, tokens in (("prompt", ask.prompt_T), ("logit_bias", tuple(ask.sampling.logit_bias)))
        for token in [token for token in tokens if not 0 <= token < room.vocab_size][:1]
    ]
    if not num_prompt:
        problems.append(Problem("messages", 0, "a prompt of at least one token"))
    if asked < 1:
        problems.append(Problem("max_tokens", asked, "1 or more"))
    for most, what in (
        (room.context_tokens, "this base reads"),
        (room.cache_tokens + 1, "the server's cache holds"),
    ):
        if most is not None and num_prompt and num_in_front + num_prompt + asked > most:
            beside = f" and {num_in_front} of the adapter's own" if num_in_front else ""
            expected = f"at most {most} tokens together, which is what {what}"
            problems.append(Problem("max_tokens", f"{asked} after a prompt of {num_prompt} tokens{beside}", expected))
            break
    if problems:
        raise SpecError(problems)
