"""A guard's policies before and behind the models that are served."""

from __future__ import annotations

from collections.abc import Sequence

from graftwork.serving.guard.guard import Guard
from graftwork.serving.http.seams import Asking, BlockedError, TextFilter


class PolicyGuard:
    """A guard as `serving.http.seams.Guard`."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def prompt(self, asking: Asking) -> tuple[str, ...]:
        """As `Guard.prompt`."""
        decision = self._guard.for_model(asking.model).on_prompt(asking.texts)
        if decision.refusal is not None:
            raise BlockedError(decision.refusal)
        return decision.texts

    def filters(self, asking: Asking) -> Sequence[TextFilter]:
        """As `Guard.filters`."""
        spec = self._guard.spec
        if not spec.models.get(asking.model, spec.default).answer:
            return ()
        return (self._guard.for_model(asking.model).stream(asking.texts),)
