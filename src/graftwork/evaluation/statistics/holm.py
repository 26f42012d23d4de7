"""Holm's adjustment: several tests, and the chance that any of them errs stays below the level.

Source: Holm 1979, https://www.jstor.org/stable/4615733.
"""

from collections.abc import Sequence


def holm(chances: Sequence[float]) -> tuple[float, ...]:
    """The adjusted chances, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    adjusted = [0.0] * len(chances)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = largest
    return tuple(adjusted)
