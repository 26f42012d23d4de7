"""How the attention of packed records is cut into pieces that a processor's cache holds. Pure.

Records lie end to end in a row: first the tokens that all of them begin with, if any, then what each has of its own. A
piece is some records of like length, padded to the longest of them, or some queries of one that is too long; with the
keys that these queries see. The cut follows from the records' own lengths alone, so their attention has the same bits
whatever else is computed beside it.

Legend: N tokens in the row; of one piece R records, L queries and S keys of each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from math import ceil

PIECE_SCORES = 1 << 19
"""Scores held at once, of all heads: 2 MiB in float32. Four times as many took up to 1.5 times as long."""
FEWEST_QUERIES = 32
"""Of one record in a piece, however many keys they see: products of fewer rows are slow."""
LIKE_LENGTH = 1.5
ALSO_LIKE = 8
"""Lengths are alike up to this ratio, or up to this many tokens more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it lies in the row: its own tokens, behind the first `front` tokens of the row."""

    start: int
    length: int
    front: int

    def index(self, position: int) -> int | None:
        """Where in the row its token at a position lies; None behind its end."""
        own = position - self.front
        if own < 0:
            return position
        return self.start + own if own < self.length else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Queries of some records and the keys that they see.

    Attributes:
        first_query: position of the first query in its record, the same in all; those of keys likewise.
        queries: by record, the index in the row; N where it has no such token.
        keys: likewise. A query sees those at its own position and before, as far as its window reaches.
    """

    first_query: int
    first_key: int
    queries_RL: tuple[tuple[int, ...], ...]
    keys_RS: tuple[tuple[int, ...], ...]


def pieces(
    lengths: Sequence[int], *, shared: int, window: int | None, num_heads: int, most_scores: int = PIECE_SCORES
) -> list[Piece]:
    """Cut the attention of records; every token is a query of exactly one piece.

    Args:
        lengths: tokens that each record has of its own, at least 1.
        shared: tokens in front that all see.
        window: keys that a query sees at most, itself among them; None for all before it.
        num_heads: of queries.
        most_scores: of all heads in one piece, if it is not one of `FEWEST_QUERIES`.
    """
    own_starts = list(accumulate(lengths, initial=shared))
    num_tokens = own_starts.pop()
    records = [Kept(start, length, shared) for start, length in zip(own_starts, lengths, strict=True)]
    front = [[Kept(0, shared, 0)]] if shared else []
    room = most_scores // num_heads
    cut = (_cut(alike, window, room) for alike in chain(front, _alike(records)))
    return [_piece(members, rows, window, num_tokens) for members, rows in chain.from_iterable(cut)]


def _alike(records: Sequence[Kept]) -> Iterator[list[Kept]]:
    """Records of like length together, the longest first."""
    together: list[Kept] = []
    for record in sorted(records, key=lambda one: (-one.length, one.start)):
        longest = together[0].length if together else record.length
        if longest > max(LIKE_LENGTH * record.length, record.length + ALSO_LIKE):
            yield together
            together = []
        together.append(record)
    yield together


def _cut(alike: Sequence[Kept], window: int | None, room: int) -> Iterator[tuple[Sequence[Kept], range]]:
    """Members of a piece, and their queries by number; `room` is for the scores of one head."""
    longest, front = alike[0].length, alike[0].front
    most_records = room // (longest * (front + longest))
    if most_records:
        for some in _evenly(len(alike), most_records):
            yield alike[some.start : some.stop], range(longest)
        return
    for record in alike:
        seen = front + record.length if window is None else min(window, front + record.length)
        for rows in _evenly(record.length, max(FEWEST_QUERIES, room // seen)):
            yield [record], rows


def _evenly(count: int, most: int) -> Iterator[range]:
    """`count` things in as few parts of at most `most` as there can be, all of one size but the last."""
    size = ceil(count / ceil(count / most))
    return (range(at, min(at + size, count)) for at in range(0, count, size))


def _piece(members: Sequence[Kept], rows: range, window: int | None, num_tokens: int) -> Piece:
    front = members[0].front
    first_query, end = front + rows.start, front + rows.stop
    first_key = 0 if window is None else max(0, first_query - window + 1)

    def indices(record: Kept, positions: range) -> tuple[int, ...]:
        return tuple(num_tokens if (at := record.index(p)) is None else at for p in positions)

    return Piece(
        first_query=first_query,
        first_key=first_key,
        queries_RL=tuple(indices(record, range(first_query, end)) for record in members),
        keys_RS=tuple(indices(record, range(first_key, end)) for record in members),
    )
