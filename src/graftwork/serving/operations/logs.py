"""The log of answers: JSON, one line each, never what was asked or said unless the settings ask for it.

Where they do, texts are de-identified first; names that no recogniser knows stay in them.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog

from graftwork.core.spec import Spec, parse
from graftwork.data.edits import edited
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.spec import PrivacySpec


class AnswerLogSpec(Spec):
    """What is logged of answers."""

    contents: Literal["off", "deidentified"] = "off"
    """off: ids, counts, times alone. deidentified: prompt and answer too, with personal data masked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """One answer, as it is logged.

    Attributes:
        id: of the HTTP request, a dash, and the answer's number.
        first_s: until its first token; None when none came.
        error: why it failed; empty when it did not.
        receipt: digest of its receipt.
        interventions: how often the guard did what, by filter and action.
    """

    id: str
    tenant: str
    actor: str
    model: str
    version: str | None
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    first_s: float | None
    total_s: float
    finish: str
    error: str = ""
    receipt: str | None = None
    interventions: dict[str, int] | None = None


class AnswerLog:
    """Writes to one file, and to no other logger."""

    def __init__(self, file: TextIO, spec: AnswerLogSpec) -> None:
        """`file` is not closed here."""
        self._spec = spec
        self._mask = Deidentifier(parse(PrivacySpec, {}), None) if spec.contents == "deidentified" else None
        self._log: Any = structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[_stamped, structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
        )

    def answer(self, entry: LogEntry, prompt: Sequence[str], said: str) -> None:
        """An answer is over; `prompt` and `said` go nowhere unless the settings ask for them."""
        told: dict[str, Any] = asdict(entry)
        if self._mask is not None:
            told |= {"prompt": [self._masked(text) for text in prompt], "answer": self._masked(said)}
        log = self._log.error if entry.finish == "failed" else self._log.info
        log("answer", **told)

    def request(self, method: str, path: str, status: int, who: str | None, seconds: float) -> None:
        """A request was answered over HTTP."""
        log = self._log.error if status >= 500 else self._log.info
        log("request", method=method, path=path, status=status, who=who, total_s=round(seconds, 6))

    def trouble(self, what: str, **details: object) -> None:
        """Something of the server itself went wrong; never with a text of a prompt or an answer in it."""
        self._log.error(what, **details)

    def _masked(self, text: str) -> str:
        assert self._mask is not None
        return edited(text, self._mask.clean(text).edits)


def _stamped(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {"time": datetime.now(UTC).isoformat(timespec="microseconds"), "level": method, **event}
