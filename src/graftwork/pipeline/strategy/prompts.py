"""Questions with examples in front: which, in which order, and how they are written. Pure.

Examples are drawn from the training records by seed and by what each one says, so their order in the files has no say;
the held-out records are never among them. Where answers are a closed set, each answer has its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from heapq import nsmallest
from itertools import zip_longest

from graftwork.data.records import Record
from graftwork.evaluation.item import Prompt

MOST_ANSWERS = 32
"""Different answers of a closed set at most; each is weighed for every question."""

LONGEST_ANSWER = 40
"""Characters of an answer in a closed set at most."""

TIMES_SEEN = 4
"""How often an answer of a closed set is given on average at least; else answers merely repeat now and then."""


def closed_set(train: Iterable[str], held_out: Sequence[str]) -> tuple[str, ...]:
    """All answers there are, in order, if they are a closed set; nothing if they are not.

    >>> closed_set(["yes", "no"] * 8, ["no", "yes"]), closed_set(["yes", "no"] * 8, ["maybe"])
    (('no', 'yes'), ())
    """
    counts: Counter[str] = Counter()
    for answer in train:
        counts[answer] += 1
        if len(counts) > MOST_ANSWERS or len(answer) > LONGEST_ANSWER:
            return ()
    if len(counts) < 2 or counts.total() < TIMES_SEEN * len(counts) or set(held_out) - counts.keys():
        return ()
    return tuple(sorted(counts))


def drawn(train: Iterable[Record], num: int, *, seed: int, never: set[str], in_turn: Sequence[str]) -> list[Record]:
    """Examples for a prompt: at most `num` records of one question and one answer.

    Args:
        never: digests of records that may not be shown.
        in_turn: answers of a closed set, each of which has its turn; empty where answers are open.
    """
    fit = (record for record in train if _is_example(record) and record.digest not in never)
    if not in_turn:
        return nsmallest(num, fit, key=lambda record: _lot(seed, record.digest))
    of_answer: dict[str, list[Record]] = {answer: [] for answer in in_turn}
    for record in fit:
        if record.answer in of_answer:
            of_answer[record.answer].append(record)
    answers = sorted(in_turn, key=lambda answer: _lot(seed, answer))
    each = [nsmallest(num, of_answer[answer], key=lambda record: _lot(seed, record.digest)) for answer in answers]
    return [record for turn in zip_longest(*each) for record in turn if record is not None][:num]


def with_examples(record: Record, examples: Sequence[Record], *, has_template: bool) -> Prompt:
    """The record's prompt with `examples` in front of it: as earlier turns, or as text where a base knows no turns."""
    if not has_template:
        shown = "".join(f"{one.question}{one.answer}\n\n" for one in examples)
        return ({"role": "user", "content": shown + record.question},)
    system = [turn for turn in record.prompt[:1] if turn["role"] == "system"]
    turns = [turn for one in examples for turn in one.messages if turn["role"] != "system"]
    return (*system, *turns, *record.prompt[len(system) :])


def as_many_as_fit(most: int, fits: Callable[[int], bool]) -> int | None:
    """How many of `most` examples fit, the first ones; None when not even a prompt without any does.

    >>> as_many_as_fit(20, lambda num: num <= 7), as_many_as_fit(5, lambda num: False)
    (7, None)
    """
    return next((num for num in range(most, -1, -1) if fits(num)), None)


def _is_example(record: Record) -> bool:
    roles = [turn["role"] for turn in record.messages if turn["role"] != "system"]
    return roles == ["user", "assistant"] and not record.tools


def _lot(seed: int, text: str) -> bytes:
    return sha256(f"{seed}:{text}".encode()).digest()
