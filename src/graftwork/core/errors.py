"""Every error this package raises on purpose.

GraftworkError
|-- SpecError       the request is wrong                  fix the file or the flag
|-- NotFoundError   the request names nothing known       check the name
|-- ConflictError   it contradicts what is recorded       choose another name, or re-read and retry
|-- DeniedError     whoever asks may not have it done     ask somebody who may
|-- CapacityError   right request, no room now            wait, or ask for less
|-- IntegrityError  stored bytes are not what was recorded    restore, never retry
|-- WorkError       right request, the work itself failed     read why; what was saved before is kept
`-- Interrupted     asked to stop                         the same request goes on from there

The command line turns these into exit codes; nothing else may.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request, in words its author can act on.

    Attributes:
        path: where: `adapter.rank`, or `tickets.jsonl line 7`.
        value: what was given, as the author wrote it.
        expected: what is expected there.
        hint: what to do.
    """

    path: str
    value: object
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        line = f"{self.path} = {_short(self.value)}: expected {self.expected}"
        return f"{line}. {self.hint}" if self.hint else line


class Told(Problem):
    """A problem whose words are written already, as `expected`."""

    def __str__(self) -> str:
        return self.expected


class GraftworkError(Exception):
    """Anything this package refuses or fails at, in words for its user."""


class SpecError(GraftworkError, ValueError):
    """The request is wrong. `problems` holds all that is wrong with it, never only the first."""

    SHOWN = 20

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            more = len(self.problems) - self.SHOWN
            lines.append(f"... and {more} more problem{'s' if more > 1 else ''} like these.")
        return "\n".join(lines)


class NotFoundError(GraftworkError):
    """The request names something that is not there."""


class ConflictError(GraftworkError):
    """The request contradicts what is on record, or someone else holds what it needs."""


class DeniedError(GraftworkError):
    """Whoever asks has not shown who they are, or may not have it done."""


class CapacityError(GraftworkError):
    """The request is right but does not fit here and now."""


class OverloadedError(CapacityError):
    """Too much is under way: the same request may be made again in `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class IntegrityError(GraftworkError):
    """Stored bytes are not what was recorded. Restore them; a retry cannot help."""


class WorkError(GraftworkError):
    """The request was right and the work failed, for example a loss that is not finite."""


class Interrupted(GraftworkError):  # noqa: N818  it is none
    """Asked to stop. What was done is saved, and the same request goes on from there."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence that offers the nearest of `names`, or nothing when none is near.

    >>> did_you_mean("rnak", ["rank", "alpha"])
    "Did you mean 'rank'?"
    """
    close = get_close_matches(name, list(names), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]} ... ({len(text)} characters)"
