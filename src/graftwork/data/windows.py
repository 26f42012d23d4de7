"""Long texts as windows that overlap: every target is learned in exactly one of them. Pure.

A window is a stretch of tokens, with the system turn before it when there is one. It learns the targets of its own
part; what stands before that part is context that another window learns.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [start, end) of a text, after its head; targets from `learned_from` on are this window's.

    Attributes:
        head: tokens from the beginning of the text that stand before the stretch; 0 when the stretch begins there.
    """

    head: int
    start: int
    learned_from: int
    end: int

    @property
    def num_tokens(self) -> int:
        """Tokens in the window."""
        return self.head + self.end - self.start


@dataclass(frozen=True, slots=True)
class Borders:
    """Where a text may be cut well, as indices of the tokens that begin something, in order.

    Attributes:
        head: tokens of the system turn; kept in every window.
        turns: where a user, or whoever else does not answer, begins to speak.
        sentences: where sentences, lines or paragraphs begin.
    """

    head: int = 0
    turns: Sequence[int] = ()
    sentences: Sequence[int] = ()


def windows(is_target_T: Sequence[bool], borders: Borders, *, max_tokens: int, overlap: int) -> list[Window]:
    """Windows that learn every target exactly once, none longer than `max_tokens`.

    A window ends where a turn begins if that leaves it at least half full, else where a sentence does, else where it is
    full. The next one begins up to `overlap` tokens before, at a turn or sentence if there is one; when it begins an
    answer, with the question, should that fit into half a window. Room that a window does not need for its own targets
    is filled with more of what stands before them. Stretches without targets are in no window but as context.

    Args:
        is_target_T: the first token counts as none: nothing stands before it.
        borders: its head is at most half of `max_tokens`.
        max_tokens: at least 2.
        overlap: at least 1 and less than `max_tokens`.

    >>> windows([False, True, True, True, True], Borders(), max_tokens=3, overlap=1)
    [Window(head=0, start=0, learned_from=1, end=3), Window(head=0, start=2, learned_from=3, end=5)]
    """
    targets = [i for i, target in enumerate(is_target_T) if target and i]
    frame = _Frame(targets, borders, max_tokens - borders.head, max_tokens, overlap)
    made: list[Window] = []
    done = 0
    while done < len(targets):
        made.append(_window(frame, done))
        done = bisect_left(targets, made[-1].end)
    return made


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all windows of a text share; `room` is what a head leaves of a window."""

    targets: Sequence[int]
    borders: Borders
    room: int
    max_tokens: int
    overlap: int


def _window(frame: _Frame, done: int) -> Window:
    """The window that learns from target number `done` on."""
    targets, head, first = frame.targets, frame.borders.head, frame.targets[done]
    start = _begin(frame, done)
    from_zero = start <= head
    full = frame.max_tokens if from_zero else start + frame.room
    end = _end(first, min(full, targets[-1] + 1), targets[-1], frame.borders)
    end = targets[bisect_left(targets, end) - 1] + 1  # what follows the last target is of no use here
    if not from_zero and end - start < frame.room:
        start = _earliest_border(max(end - frame.room, 0), start, frame.borders)
        from_zero = start <= head
    return Window(0, 0, first, end) if from_zero else Window(head, start, first, end)


def _begin(frame: _Frame, done: int) -> int:
    """Where a window that learns from target `done` on begins: with its own question, or a little before it."""
    first = frame.targets[done]
    overlap = min(frame.overlap, frame.room - 1)  # room for a target is left
    own = _last_border(frame.borders.turns, first)
    begins_answer = done == 0 or frame.targets[done - 1] < own
    if begins_answer and overlap < first - own <= frame.room // 2:
        return own
    return _earliest_border(max(first - overlap, 0), max(first - 1, 0), frame.borders)


def _earliest_border(earliest: int, latest: int, borders: Borders) -> int:
    """The first border in [earliest, latest], of a turn rather than of a sentence; `earliest` when there is none."""
    if earliest <= borders.head:
        return earliest
    for places in (borders.turns, borders.sentences):
        at = bisect_left(places, earliest)
        if at < len(places) and places[at] <= latest:
            return places[at]
    return earliest


def _last_border(places: Sequence[int], latest: int) -> int:
    """The last of `places` that is at most `latest`; 0 when there is none."""
    at = bisect_right(places, latest) - 1
    return places[at] if at >= 0 else 0


def _end(first: int, full: int, last: int, borders: Borders) -> int:
    """Where a window that could reach `full` ends: at a border that leaves it at least half full, if there is one."""
    if full > last:
        return full
    least = first + max(1, (full - first) // 2)
    for places in (borders.turns, borders.sentences):
        if (border := _last_border(places, full)) >= least:
            return border
    return full
