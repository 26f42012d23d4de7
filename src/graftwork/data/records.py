"""The one form that every layout becomes: a conversation with its origin. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from graftwork.core.digests import digest

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from: a file, and the line (or entry of a list) in it, counted from 1."""

    file: str
    line: int
    unit: Literal["line", "entry"] = "line"

    def __str__(self) -> str:
        return f"{self.file} {self.unit} {self.line}"


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
    def question(self) -> str:
        """The turn before the last answer; empty when there is none."""
        return self.prompt[-1]["content"] if self.prompt else ""

    @property
    def answer(self) -> str:
        """What the assistant says last."""
        return self.messages[-1]["content"]
