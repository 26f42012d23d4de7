"""What can never be answered is refused before it waits. Pure."""

from __future__ import annotations

from graftwork.core.errors import Problem, SpecError
from graftwork.serving.asked import Ask


def refuse_impossible(ask: Ask, num_in_front: int, context_tokens: int | None, cache_tokens: int) -> None:
    """Raise SpecError where the request is empty, or too long for the base or for the whole cache."""
    asked, num_prompt = ask.sampling.max_new_tokens, len(ask.prompt_T)
    problems = []
    if not num_prompt:
        problems.append(Problem("messages", 0, "a prompt of at least one token"))
    if asked < 1:
        problems.append(Problem("max_tokens", asked, "1 or more"))
    for most, what in ((context_tokens, "this base reads"), (cache_tokens + 1, "the server's cache holds")):
        if most is not None and num_prompt and num_in_front + num_prompt + asked > most:
            beside = f" and {num_in_front} of the adapter's own" if num_in_front else ""
            expected = f"at most {most} tokens together, which is what {what}"
            problems.append(Problem("max_tokens", f"{asked} after a prompt of {num_prompt} tokens{beside}", expected))
            break
    if problems:
        raise SpecError(problems)
