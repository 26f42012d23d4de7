"""Short records end to end in one row, so that nothing is computed for padding. Pure."""

from bisect import bisect_left, insort
from collections.abc import Sequence


def packs(lengths: Sequence[int], *, row_tokens: int) -> list[list[int]]:
    """Put records into rows of at most `row_tokens`, none cut; one that is longer gets a row of its own.

    The longest first, each into the row that it fills best. Rows are in the order in which they were begun, records in
    a row in the order in which they were put there.

    Args:
        lengths: tokens of each record, at least 1.

    Source: best-fit decreasing, Johnson 1974: at most 11/9 of the fewest rows, and one.

    >>> packs([5, 2, 7, 3], row_tokens=10)
    [[2, 3], [0, 1]]
    """
    rows: list[list[int]] = []
    open_rows: list[tuple[int, int]] = []  # (room, -row), sorted: of equal room the row begun last comes first
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect_left(open_rows, (lengths[i], -len(rows)))
        if at == len(open_rows):
            rows.append([i])
            room, row = row_tokens - lengths[i], len(rows) - 1
        else:
            room, row = open_rows.pop(at)
            room, row = room - lengths[i], -row
            rows[row].append(i)
        if room > 0:
            insort(open_rows, (room, -row))
    return rows
