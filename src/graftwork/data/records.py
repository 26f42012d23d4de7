"""The one form that every layout becomes: a conversation with its origin. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from graftwork.core.digests import digest

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from: a file, and the line or row in it, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file} line {self.line}"


@dataclass(frozen=True)
class Record:
    """A conversation that ends with what the model should have said.

    Attributes:
        messages: turns in order, each with `role` and `content`.
    """

    messages: tuple[Mapping[str, str], ...]
    origin: Origin

    @cached_property
    def digest(self) -> str:
        """Names the content, wherever it comes from."""
        return digest([dict(message) for message in self.messages])

    @property
    def prompt(self) -> tuple[Mapping[str, str], ...]:
        """The turns before the last answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """What the assistant says last."""
        return self.messages[-1]["content"]
