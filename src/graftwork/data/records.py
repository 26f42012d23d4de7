"""The one form that every layout becomes: a conversation with its origin. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from graftwork.core.digests import digest
from graftwork.data.edits import Edit, Spans, edited, moved

ROLES = ("system", "user", "assistant", "tool")
TEXT = "text"
"""Role of the only turn of a record that is plain text, no conversation."""

Unit = Literal["line", "entry", "row", "file"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from: a file, and the line (entry of a list, row of a table) in it, counted from 1."""

    file: str
    line: int
    unit: Unit = "line"

    def __str__(self) -> str:
        return f"{self.file} {self.unit} {self.line}"


@dataclass(frozen=True)
class Record:
    """A conversation that ends with what the model should have said, or a plain text.

    Attributes:
        messages: turns in order, each with `role` and `content`; one of the role TEXT for plain text.
        learn: for each turn the parts of its content that are learned, None for a turn that says nothing about it;
            empty when the data marks nothing.
        rejected: the worse answer of a preference pair.
        tools: what the conversation may call, as JSON schemas.
        group: what must stay on one side of a split together, such as a customer; never written anywhere.
        source: number of the recipe's source it comes from, counted from 0.
    """

    messages: tuple[Mapping[str, str], ...]
    origin: Origin
    learn: tuple[Spans | None, ...] = ()
    rejected: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    group: str | None = None
    source: int = 0

    @cached_property
    def digest(self) -> str:
        """Names the content, wherever it comes from."""
        more = {"learn": self.learn, "rejected": self.rejected, "tools": self.tools}
        said = {key: value for key, value in more.items() if value}
        turns = [dict(message) for message in self.messages]
        return digest({"messages": turns, **said} if said else turns)

    @property
    def is_text(self) -> bool:
        """Whether it is plain text rather than a conversation."""
        return self.messages[0]["role"] == TEXT

    @property
    def prompt(self) -> tuple[Mapping[str, str], ...]:
        """The turns before the last answer."""
        return self.messages[:-1]

    @property
    def question(self) -> str:
        """The turn before the last answer; empty when there is none."""
        return self.prompt[-1]["content"] if self.prompt else ""

    @property
    def answer(self) -> str:
        """What the assistant says last; of a plain text, the text."""
        return self.messages[-1]["content"]

    def edited(self, edits_of: Callable[[str], Sequence[Edit]]) -> "Record":
        """The record after `edits_of` of every text in it, marks moved along; itself when nothing changes."""
        contents = [message["content"] for message in self.messages]
        edits = [edits_of(content) for content in contents]
        of_rejected = edits_of(self.rejected) if self.rejected is not None else ()
        tools = tuple(_each_text_edited(tool, edits_of) for tool in self.tools)
        if not any(edits) and not of_rejected and tools == self.tools:
            return self
        turns = zip(self.messages, edits, strict=True)
        marks = zip(self.learn, edits, strict=False)
        return replace(
            self,
            messages=tuple({**turn, "content": edited(turn["content"], e)} for turn, e in turns),
            learn=tuple(None if spans is None else moved(spans, e) for spans, e in marks),
            rejected=None if self.rejected is None else edited(self.rejected, of_rejected),
            tools=tools,
        )


def _each_text_edited(value: Any, edits_of: Callable[[str], Sequence[Edit]]) -> Any:
    """`value`, of JSON, with every text in it edited, keys too."""
    if isinstance(value, str):
        return edited(value, edits_of(value))
    if isinstance(value, Mapping):
        return {_each_text_edited(key, edits_of): _each_text_edited(one, edits_of) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text_edited(one, edits_of) for one in value]
    return value
