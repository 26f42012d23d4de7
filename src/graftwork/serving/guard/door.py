"""The guard as the HTTP side asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graftwork.serving.guard.finding import Intervention
from graftwork.serving.guard.guard import Guard
from graftwork.serving.guard.stream import GuardedStream
from graftwork.serving.http.seams import Asking, BlockedError


def _nobody(asking: Asking, done: Sequence[Intervention]) -> None:
    """Nobody hears of it."""


class GuardDoor:
    """The `Guard` of a server, over a policy."""

    def __init__(self, guard: Guard, told: Callable[[Asking, Sequence[Intervention]], None] = _nobody) -> None:
        """`told` hears what was done to each prompt; called in the thread that asks."""
        self._guard, self._told = guard, told

    def prompt(self, asking: Asking) -> tuple[str, ...]:
        """As `Guard.prompt`.

        Raises:
            BlockedError: a filter of prompts blocks it; in the policy's words, which say nothing of what was found.
        """
        decision = self._guard.for_model(asking.model).on_prompt(asking.texts)
        if decision.interventions:
            self._told(asking, decision.interventions)
        if decision.refusal is not None:
            raise BlockedError(decision.refusal)
        return decision.texts

    def filters(self, asking: Asking) -> tuple[GuardedStream, ...]:
        """As `Guard.filters`: all of the policy as one, or none."""
        guard = self._guard.for_model(asking.model)
        return (guard.stream(asking.texts),) if guard.has_answer_filters else ()
