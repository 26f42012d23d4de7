"""Records to tokens with targets marked, long ones in windows. Pure: who writes them is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from graftwork.core.errors import Problem, SpecError
from graftwork.data.borders import sentence_starts, token_indices
from graftwork.data.edits import Spans
from graftwork.data.records import Origin, Record
from graftwork.data.windows import Borders, Window, windows

Learn = Literal["answers", "last", "all", "marked"]


class Written(Protocol):
    """A conversation as tokens; as `ChatFormat.marked` gives it."""

    @property
    def tokens_T(self) -> list[int]:
        """Its tokens."""

    @property
    def is_target_T(self) -> list[bool]:
        """True for a token the model learns to produce."""

    @property
    def text(self) -> str:
        """What was tokenised."""

    @property
    def offsets_T2(self) -> list[tuple[int, int]]:
        """Where in `text` each token stands."""


class Writer(Protocol):
    """How a base writes conversations; a `ChatFormat` is one."""

    def marked(self, messages: Any, *, learn: Any, tools: Any) -> Written:
        """The conversation as tokens. Raises SpecError for one that it cannot write."""

    def turn_starts(self, messages: Any, text: str, tools: Any) -> list[int]:
        """Characters at which somebody asks; the first is where the system turn ends."""

    def turn_heads(self, messages: Any, text: str, tools: Any) -> list[tuple[int, int]]:
        """Of each turn, its first character and the first of what it says: between them stands whose turn it is."""

    def reads_back(self, tokens_T: list[int], text: str) -> bool:
        """Whether the tokens say the text again."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record, or a window of one, as tokens.

    Attributes:
        is_target_T: true for a token the model learns to produce.
        source: number of the recipe's source.
        window: which window of its record this is, counted from 0.
    """

    tokens_T: Sequence[int]
    is_target_T: Sequence[bool]
    origin: Origin
    source: int = 0
    window: int = 0

    @property
    def num_targets(self) -> int:
        """Tokens learned. The first token of a row has nothing before it, so it is never one."""
        return sum(self.is_target_T[1:])


@dataclass(frozen=True, slots=True)
class Rows:
    """A record as rows of tokens.

    Attributes:
        num_targets: targets of the whole record; those of the rows together must be as many.
        written: all of it.
    """

    entries: tuple[Encoded, ...]
    num_targets: int
    written: Written


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a record cannot be tokens: a short reason, and words for people."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How records become tokens.

    Attributes:
        learn: which turns are targets.
        max_tokens: the longest row.
        overlap: tokens that a window shares with the one before; None to have no windows, so that what is longer than
            `max_tokens` cannot be used.
    """

    learn: Learn = "answers"
    max_tokens: int
    overlap: int | None

    def of(self, record: Record, writer: Writer) -> Rows | Unusable:
        """`record` as tokens, none of its targets lost, or why it cannot be."""
        if self.learn != "marked" and record.learn:
            expected = "no marks of what is learned, or data.learn: marked"
            return _unusable("marks", record, Problem("learn", "marked parts", expected))
        told: Learn | tuple[Spans | None, ...] = record.learn if self.learn == "marked" else self.learn
        try:
            written = writer.marked(record.messages, learn=told or [None] * len(record.messages), tools=record.tools)
        except SpecError as error:
            return Unusable("template", "; ".join(str(_at(record, problem)) for problem in error.problems))
        num_targets = sum(written.is_target_T[1:])
        if not num_targets:
            hint = "Nothing in it is marked." if self.learn == "marked" else "Its answer is empty."
            return _unusable("no target", record, Problem("", record.answer, "at least one token to learn", hint))
        if len(written.tokens_T) > self.max_tokens:
            entries = self._cut(record, written, writer)
            return entries if isinstance(entries, Unusable) else Rows(tuple(entries), num_targets, written)
        whole = Encoded(tuple(written.tokens_T), tuple(written.is_target_T), record.origin, record.source)
        return Rows((whole,), num_targets, written)

    def _cut(self, record: Record, written: Written, writer: Writer) -> list[Encoded] | Unusable:
        given = f"{len(written.tokens_T)} tokens"
        if self.overlap is None:
            expected = f"at most {self.max_tokens} tokens (data.max_tokens, or the base's context)"
            return _unusable("too long", record, Problem("", given, expected, "Set data.windows to cut it."))
        borders, heads = _borders(record, written, writer), _heads(record, written, writer)
        longest = max((said - begin for begin, said in heads), default=0)
        room = self.max_tokens - longest
        if borders.head + longest > self.max_tokens // 2:
            given = f"{borders.head} tokens of system turn, {longest} of a turn's beginning"
            expected = f"at most half of {self.max_tokens} tokens (data.max_tokens, or the base's context)"
            return _unusable("system turn", record, Problem("", given, expected, "Every window begins with them."))
        cut = windows(written.is_target_T, borders, max_tokens=room, overlap=min(self.overlap, room - 1))
        return [_windowed(record, written, window, number, heads) for number, window in enumerate(cut)]


def _borders(record: Record, written: Written, writer: Writer) -> Borders:
    starts = writer.turn_starts(record.messages, written.text, record.tools)
    turns = token_indices(starts, written.text, written.offsets_T2)
    own_first = sum(1 for begin, end in written.offsets_T2[:2] if begin == end)  # a token that begins every text
    head = max(turns[0] if starts[0] else 0, own_first)
    sentences = token_indices(sentence_starts(written.text), written.text, written.offsets_T2)
    return Borders(head, turns[1:], sentences)


def _heads(record: Record, written: Written, writer: Writer) -> list[tuple[int, int]]:
    """Of each turn, its first token and the first of what it says."""
    heads = writer.turn_heads(record.messages, written.text, record.tools)
    return [(one[0], one[-1]) for one in (token_indices(head, written.text, written.offsets_T2) for head in heads)]


def _windowed(
    record: Record, written: Written, window: Window, number: int, heads: Sequence[tuple[int, int]]
) -> Encoded:
    """The window's tokens; one that begins within a turn is told whose turn it is."""
    before = [*range(window.head), *_turn_head(window.start, heads)] if window.start else []
    is_target_T = [False] * (len(before) + window.learned_from - window.start)
    return Encoded(
        (*(written.tokens_T[i] for i in before), *written.tokens_T[window.start : window.end]),
        (*is_target_T, *written.is_target_T[window.learned_from : window.end]),
        record.origin,
        record.source,
        number,
    )


def _turn_head(start: int, heads: Sequence[tuple[int, int]]) -> range:
    """What of the head of its turn a stretch from token `start` on has not itself."""
    begin, said = next((head for head in reversed(heads) if head[0] <= start), (start, start))
    return range(begin, min(said, start))


def _unusable(reason: str, record: Record, problem: Problem) -> Unusable:
    return Unusable(reason, str(_at(record, problem)))


def _at(record: Record, problem: Problem) -> Problem:
    where = f"{record.origin}: {problem.path}" if problem.path else str(record.origin)
    return Problem(where, problem.value, problem.expected, problem.hint)
