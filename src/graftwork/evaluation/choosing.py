"""What a subject picks among options that were weighed. Pure."""

from collections.abc import Sequence

from graftwork.evaluation.item import Reply


def picked(reply: Reply) -> int | None:
    """The likeliest option; None where two share that place, or nothing was weighed.

    >>> picked(Reply(nats=(2.0, 1.0))), picked(Reply(nats=(1.0, 1.0))), picked(Reply())
    (1, None, None)
    """
    if not reply.nats:
        return None
    least = min(reply.nats)
    return reply.nats.index(least) if reply.nats.count(least) == 1 else None


def picked_word(reply: Reply, options: Sequence[str]) -> str | None:
    """The likeliest option itself, where options stand in different orders in different questions."""
    index = picked(reply)
    return None if index is None else options[index]


def agreeing(answers: Sequence[object | None]) -> tuple[int, int]:
    """Of all pairs of `answers` how many are the same, and how many pairs there are; no answer agrees with none.

    >>> agreeing(["a", "a", "b"]), agreeing([None, None])
    ((1, 3), (0, 1))
    """
    pairs = [(a, b) for i, a in enumerate(answers) for b in answers[:i]]
    return sum(a is not None and a == b for a, b in pairs), len(pairs)
