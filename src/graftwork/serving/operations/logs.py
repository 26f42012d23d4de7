"""The log of a server: JSON, one object a line, never what was asked or said unless the settings ask for it.

Where they do, texts are de-identified first; names that no recogniser knows stay in them.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import parse
from graftwork.data.edits import edited
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.serving.operations.lines import Lines
from graftwork.serving.operations.spec import LogsSpec

Level = Literal["debug", "info", "warning", "error"]
NAMES = ("graftwork", "uvicorn.error", "asyncio")
"""Loggers of this process whose lines belong to the server."""


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

    def __init__(self, file: TextIO | Lines, spec: LogsSpec) -> None:
        """`file` is not closed here."""
        self.spec = spec
        self._mask = Deidentifier(parse(PrivacySpec, {}), None) if spec.contents == "deidentified" else None
        self._log: Any = structlog.wrap_logger(
            structlog.WriteLogger(file),  # type: ignore[arg-type]  # it writes and flushes, no more
            processors=[_stamped, structlog.processors.JSONRenderer(ensure_ascii=False)],
            wrapper_class=structlog.make_filtering_bound_logger(spec.level),
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
        """A request was answered over HTTP; those about the server's health at debug, for they come all the time."""
        log = self._log.error if status >= 500 else self._log.info
        log = self._log.debug if path.startswith("/health/") else log
        log("request", method=method, path=path, status=status, who=who, total_s=round(seconds, 6))

    def tell(self, level: Level, what: str, **details: object) -> None:
        """Something of the server itself; never with a text of a prompt or an answer in it."""
        getattr(self._log, level)(what, **details)

    def _masked(self, text: str) -> str:
        assert self._mask is not None
        return edited(text, self._mask.clean(text).edits)


class Records(logging.Handler):
    """Lines of ordinary loggers, in the same form. Of an exception its kind and place; its words at debug alone."""

    def __init__(self, log: AnswerLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """As logging's."""
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        if record.levelno < logging.WARNING:
            level = "info" if record.levelno >= logging.INFO else "debug"
        details: dict[str, object] = {"logger": record.name}
        if record.exc_info and (error := record.exc_info[1]):
            details |= {"error": type(error).__name__, "at": _places(error)}
            if self._log.spec.level == "debug":
                details["words"] = str(error)
        self._log.tell(level, record.getMessage(), **details)


@contextmanager
def logging_as(spec: LogsSpec) -> Iterator[tuple[AnswerLog, Lines]]:
    """A log where `spec` says; this process's own loggers write to it, too, as long as it is open.

    Raises:
        SpecError: its file cannot be written.
    """
    with ExitStack() as stack:
        file = sys.stderr if spec.destination == "stderr" else stack.enter_context(_opened(Path(spec.destination)))
        lines = Lines(file, _note)
        stack.callback(lines.close)
        log = AnswerLog(lines, spec)
        records = Records(log)
        for name in NAMES:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            stack.callback(logger.removeHandler, records)
            logger.addHandler(records)
            logger.setLevel(spec.level.upper() if name == NAMES[0] else "WARNING")
        yield log, lines


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError([Problem("logs.destination", str(path), "a file that can be written", reason)]) from error


def _stamped(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"time": now, "level": method, "event": event.pop("event"), **event}


def _note(num_lost: int) -> str:
    told = _stamped(None, "warning", {"event": "lines of this log were lost", "count": num_lost})
    return str(structlog.processors.JSONRenderer()(None, "", told)) + "\n"


def _places(error: BaseException) -> list[str]:
    """Where it came from, the innermost last: no line of code, no value."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
