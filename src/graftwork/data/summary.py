"""Numbers about one side of the data: records, rows, tokens, and how they are spread. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

FIRST_BIN = 16
"""Upper end of the first bin of the histogram of lengths, in tokens; each further one is twice as wide."""


def side_summary(lengths: Sequence[int], targets: Sequence[int], *, num_records: int, digest: str) -> dict[str, Any]:
    """What a side holds.

    Args:
        lengths: tokens of each row; targets of each row likewise.
    """
    ordered = sorted(lengths)
    return {
        "num_records": num_records,
        "num_rows": len(ordered),
        "num_tokens": sum(ordered),
        "num_targets": sum(targets),
        "median_tokens": ordered[len(ordered) // 2] if ordered else 0,
        "longest_tokens": ordered[-1] if ordered else 0,
        "lengths": histogram(ordered),
        "digest": digest,
    }


def histogram(lengths: Sequence[int]) -> list[dict[str, int]]:
    """Rows by length: for each bin that is needed, up to how many tokens and how many rows.

    >>> histogram([3, 17, 30])
    [{'up_to': 16, 'rows': 1}, {'up_to': 32, 'rows': 2}]
    """
    counts = Counter(max(FIRST_BIN, 1 << (length - 1).bit_length()) for length in lengths)
    if not counts:
        return []
    num_bins = (max(counts) // min(counts)).bit_length()
    return [{"up_to": end, "rows": counts[end]} for end in (min(counts) << i for i in range(num_bins))]
