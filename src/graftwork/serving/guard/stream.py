"""Filters one behind the other, at work on one text as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graftwork.serving.guard.finding import Intervention
from graftwork.serving.guard.stage import Piece, Stage


class GuardedStream:
    """Text goes in piece by piece and comes out as far as no filter can want it any more.

    However a text is cut into pieces, what comes out in all is the same, and so is what was done.
    """

    def __init__(self, stages: Sequence[Stage], blocked_text: str) -> None:
        """`blocked_text` is said where an answer is ended."""
        self._stages, self._blocked_text = tuple(stages), blocked_text
        self._done: list[Intervention] = []
        self._is_blocked = False

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """What was done so far, in the order of the text."""
        return tuple(self._done)

    @property
    def is_blocked(self) -> bool:
        """Whether the answer was ended; what is pushed from then on is gone."""
        return self._is_blocked

    @property
    def held(self) -> int:
        """Characters that are held back."""
        return sum(stage.held for stage in self._stages)

    def push(self, text: str) -> str:
        """What may be told now."""
        pieces: list[Piece] = [text]
        for stage in self._stages:
            pieces = stage.push(pieces)
        return self._told(pieces)

    def close(self) -> str:
        """The rest. Nothing is pushed afterwards."""
        pieces: list[Piece] = []
        for stage in self._stages:
            pieces = [*stage.push(pieces), *stage.close()]
        return self._told(pieces)

    def _told(self, pieces: Iterable[Piece]) -> str:
        told = ""
        for piece in () if self._is_blocked else pieces:
            if isinstance(piece, str):
                told += piece
                continue
            self._done.append(piece)
            if piece.action == "block":
                self._is_blocked = True
                return told + self._blocked_text
        return told
