"""One filter at work on one text: pieces come in, pieces go out, with what was done among them where it was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graftwork.serving.guard.finding import BEFORE, Finder, Intervention, Text

Piece = str | Intervention
"""Text, or what was done at that place; after one that blocks nothing comes."""


class Stage:
    """Holds back what its finder has not settled. What earlier filters did passes through at its place."""

    def __init__(self, finder: Finder, like: Intervention) -> None:
        """`like` says what its interventions have in common."""
        self._finder, self._like = finder, like
        self._before, self._held, self._at = "", "", 0
        self._passing: list[tuple[int, Intervention]] = []  # by their place in what is held
        self._is_over = False

    @property
    def held(self) -> int:
        """Characters that are held back."""
        return len(self._held)

    def push(self, pieces: Iterable[Piece]) -> list[Piece]:
        """What is settled after `pieces`."""
        told = ""
        out: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, str):
                told += piece
                continue
            self._passing.append((len(self._held) + len(told), piece))
            if piece.action == "block":
                out += self._settled(told, is_last=True)
                self._is_over = True
                return out
        return [*out, *self._settled(told, is_last=False)]

    def close(self) -> list[Piece]:
        """The rest."""
        return self._settled("", is_last=True)

    def _settled(self, told: str, *, is_last: bool) -> list[Piece]:
        if self._is_over:
            return []
        self._held += told
        look = self._finder(Text(before=self._before, held=self._held, at=self._at, is_last=is_last))
        out: list[Piece] = []
        start = 0
        for span in look.spans:
            out += self._between(start, span.start)
            done = replace(self._like, kind=span.kind, length=span.end - span.start)
            out.append(done)
            if done.action == "block":
                self._is_over, self._held = True, ""
                return out
            if done.action == "mask":
                out += [span.mask, *self._passed(span.end)]
            else:
                out += self._between(span.start, span.end)
            start = span.end
        out += self._between(start, look.settled)
        self._move(look.settled)
        return out

    def _between(self, start: int, end: int) -> Iterator[Piece]:
        """What is held from `start` to `end`, and what was done in it before."""
        while self._passing and self._passing[0][0] <= end:
            at, done = self._passing.pop(0)
            yield self._held[start:at]
            yield done
            start = at
        yield self._held[start:end]

    def _passed(self, end: int) -> Iterator[Intervention]:
        """What was done before in a place that is masked now."""
        while self._passing and self._passing[0][0] <= end:
            yield self._passing.pop(0)[1]

    def _move(self, settled: int) -> None:
        self._before = (self._before + self._held[:settled])[-BEFORE:]
        self._held = self._held[settled:]
        self._at += settled
        self._passing = [(at - settled, done) for at, done in self._passing]
