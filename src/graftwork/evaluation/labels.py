"""Closed sets of answers: whether the records of a source are labelled rather than answered, and with what. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice

from graftwork.data.records import Record

LONGEST = 60
"""Most characters of a label."""

MOST = 100
"""Most labels of a set; more are rather names or numbers."""

FEWEST_EACH = 4
"""Records a label, on average; where answers come less often than that they are no set."""

LOOKED_AT = 20_000
"""Records that are looked at."""


def labels_by_source(records: Iterable[Record]) -> Mapping[int, tuple[str, ...]]:
    """For each source of data whose answers are a small closed set, that set, sorted; other sources are not in it."""
    answers: dict[int, Counter[str]] = defaultdict(Counter)
    for record in islice(records, LOOKED_AT):
        if record.prompt and not record.is_text:
            answers[record.source][record.answer.strip()] += 1
    return {source: tuple(sorted(counts)) for source, counts in answers.items() if _is_closed(counts)}


def _is_closed(counts: Counter[str]) -> bool:
    is_small = 2 <= len(counts) <= MOST and counts.total() >= FEWEST_EACH * len(counts)
    return is_small and all(0 < len(label) <= LONGEST and "\n" not in label for label in counts)
