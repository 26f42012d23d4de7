"""Swap test: how likely a difference as large would be if it did not matter who gave which answers.

In every group of items the two subjects' scores are swapped or not, by a coin's throw, and the difference is computed
again. Of up to EXACT groups that differ all swaps are gone through; of more, DRAWS are drawn from a seed, and the
observed one is counted among them, so that no chance is told as 0. Of yes and no that stand alone it is McNemar's
exact test.

Sources: Fisher 1935, The Design of Experiments, chapter 3; the count of the observed: Phipson and Smyth 2010,
https://doi.org/10.2202/1544-6115.1585.
Suffixes: G groups that differ, B swaps, K sums that the metric takes.
"""

from collections.abc import Iterator

import numpy as np

from graftwork.evaluation.statistics.distributions import Array
from graftwork.evaluation.statistics.jackknife import Value

EXACT = 13
DRAWS = 9999
CELLS = 4_000_000
"""Most entries of a table of swaps at once."""


def swap_test(ours_GK: Array, theirs_GK: Array, value: Value, *, seed: int) -> float:
    """Two-sided chance; 1 where no group differs."""
    differ = (ours_GK != theirs_GK).any(1)
    middle_K = ((ours_GK + theirs_GK) / 2).sum(0)
    halves_GK = ((ours_GK - theirs_GK) / 2)[differ]
    if not len(halves_GK):
        return 1.0
    whole_K = halves_GK.sum(0)
    observed = abs(float(value(middle_K + whole_K) - value(middle_K - whole_K)))
    as_large = observed - 1e-12 * max(1.0, observed)  # the same swap summed in another order is as large
    exact = len(halves_GK) <= EXACT
    hits = total = 0
    for signs_BG in _all_signs(len(halves_GK)) if exact else _drawn_signs(len(halves_GK), seed):
        swapped_BK = signs_BG @ halves_GK
        apart_B = np.abs(value(middle_K + swapped_BK) - value(middle_K - swapped_BK))
        hits += int((apart_B >= as_large).sum())
        total += len(apart_B)
    return hits / total if exact else (hits + 1) / (total + 1)


def _all_signs(num: int) -> Iterator[Array]:
    bits = (np.arange(2**num)[:, None] >> np.arange(num)) & 1
    yield bits.astype(np.float64) * 2 - 1


def _drawn_signs(num: int, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(seed)
    rows = max(1, CELLS // num)
    for at in range(0, DRAWS, rows):
        yield generator.integers(0, 2, size=(min(rows, DRAWS - at), num), dtype=np.int8).astype(np.float64) * 2 - 1
