"""One answer as it is told: tokens to characters, stop strings, filters; which tokens go with which text."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from graftwork.serving.asked import Said
from graftwork.serving.http.seams import TextFilter
from graftwork.serving.http.text.characters import Characters, TokenTexts
from graftwork.serving.http.text.stops import StopStrings

End = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A token, and the first character of the unfiltered answer that it has a part in."""

    said: Said
    begin: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What is told at once; the tokens are those of the text, where no filter changed it."""

    text: str
    tokens: tuple[Placed, ...] = ()


class Telling:
    """One answer.

    Attributes:
        filters: what the text goes through, in their order.
        end: why it ended by itself; None while it goes on.
    """

    def __init__(self, texts: TokenTexts, stops: Sequence[str], filters: Sequence[TextFilter]) -> None:
        self._characters, self._stops, self.filters = Characters(texts.decode), StopStrings(stops), tuple(filters)
        self._waiting: deque[Placed] = deque()
        self._come = self._let_through = 0
        self.end: End | None = None

    def push(self, said: Said) -> Piece:
        """What can be told with one more token."""
        self._waiting.append(Placed(said, self._come))
        text = self._characters.push(said.token)
        self._come += len(text)
        text = self._stops.push(text)
        self._let_through += len(text)
        told = self._filtered(text)
        if self._stops.is_hit or self._is_filtered:
            told += self._at_end()
            self.end = "content_filter" if self._is_filtered else "stop"
        return Piece(told, self._tokens())

    def close(self, *, is_cut: bool) -> Piece:
        """What was held back, when nothing more will come; half a character is left out of an answer that was cut."""
        if self.end:
            return Piece("")
        rest = "" if is_cut else self._characters.rest()
        text = self._stops.push(rest) + self._stops.rest()
        self._let_through += len(text)
        told = self._filtered(text) + self._at_end()
        if self._is_filtered:
            self.end = "content_filter"
        return Piece(told, self._tokens() if self._stops.is_hit else tuple(self._waiting))

    @property
    def _is_filtered(self) -> bool:
        return any(one.is_blocked for one in self.filters)

    def _tokens(self) -> tuple[Placed, ...]:
        told = []
        while self._waiting and self._waiting[0].begin < self._let_through:
            told.append(self._waiting.popleft())
        return tuple(told)

    def _filtered(self, text: str) -> str:
        for one in self.filters:
            text = one.push(text)
        return text

    def _at_end(self) -> str:
        """What the filters held back, each one's rest through those after it."""
        text = ""
        for one in self.filters:
            text = one.push(text) + one.close()
        return text
