"""Short signatures of texts, by which the alike are found without comparing all with all.

MinHash with bands: a signature is cut into bands, and two texts are compared when a whole band is equal. Two texts of
Jaccard likeness s share a band of r numbers with probability s^r, so at least one of b with 1 - (1 - s^r)^b.

Legend: N texts, T characters of them all, H hashes a text, B bands.

Source: Broder 1997, "On the resemblance and containment of documents"; bands: Leskovec, Rajaraman and Ullman, "Mining
of Massive Datasets", section 3.4. The hashes of a signature are rensa's (fast similarity sketching, Dahlgaard et al.
2017, https://arxiv.org/abs/1704.04370).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING, Any

from graftwork.data.quality.text import DENSE, DENSE_WIDTH, SPARSE_WIDTH

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

NUM_BANDS = 16
FEWEST_ROWS, MOST_ROWS = 4, 8
"""Numbers in a band. Fewer than 4 would compare nearly all with all."""

MISSED_FRAC = 0.01
"""Share of pairs just at the threshold that may share no band; of those more alike, far fewer do not."""

SEED = 20260817
"""Fixed, so that the same data gives the same signatures on any machine."""

MULTIPLIER = 0x9E3779B97F4A7C15
ROUND = 0xBF58476D1CE4E5B9


def rows_in_band(threshold: float) -> int:
    """Most numbers in a band with which a pair just at `threshold` is missed at most MISSED_FRAC of the time.

    >>> [rows_in_band(threshold) for threshold in (0.7, 0.8, 0.9)]
    [4, 6, 8]
    """
    if threshold >= 1:
        return MOST_ROWS
    match_frac = 1 - MISSED_FRAC ** (1 / NUM_BANDS)
    return min(MOST_ROWS, max(FEWEST_ROWS, int(log(match_frac) / log(threshold))))


def bands(texts: Sequence[str], *, rows: int) -> Array:
    """The bands_NB of `texts`, uint32; each depends on its own text alone."""
    import numpy as np
    from rensa import RMinHash

    if not texts:
        return np.zeros((0, NUM_BANDS), np.uint32)
    hashes, offsets = _shingle_hashes(texts)
    num_hashes = NUM_BANDS * rows
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, num_hashes, SEED)
    signature_NH = np.array(matrix.to_rows(), dtype=np.uint32)
    by_band_NBR = signature_NH.reshape(len(texts), NUM_BANDS, rows)
    mixed_NB = np.zeros(by_band_NBR.shape[:2], np.uint64)
    for row in range(rows):
        mixed_NB = _mixed(mixed_NB ^ by_band_NBR[:, :, row])
    return (mixed_NB >> np.uint64(32)).astype(np.uint32)


def _shingle_hashes(texts: Sequence[str]) -> tuple[Array, Array]:
    """The hash of every shingle of every text, and where each text's begin; all at once over the characters of all."""
    import numpy as np

    padded = [text.ljust(SPARSE_WIDTH, "\0") for text in texts]
    code_T = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) for text in padded], np.int64)
    ends = np.cumsum(lengths)
    hash_T, hash_short_T = _rolled(code_T)
    is_dense_T = code_T >= ord(DENSE)
    width_T = np.where(is_dense_T, DENSE_WIDTH, SPARSE_WIDTH)
    fits_T = np.arange(len(code_T)) + width_T <= np.repeat(ends, lengths)
    chosen_T = np.where(is_dense_T, hash_short_T, hash_T)[fits_T]
    counts = np.add.reduceat(fits_T.astype(np.int64), ends - lengths)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
    return _mixed(chosen_T), offsets


def _rolled(code_T: Array) -> tuple[Array, Array]:
    """Hashes of the SPARSE_WIDTH, and of the DENSE_WIDTH, characters from each on; past the end counts as zero."""
    import numpy as np

    ahead = np.concatenate([code_T.astype(np.uint64) + np.uint64(1), np.zeros(SPARSE_WIDTH, np.uint64)])
    total, short, num = np.zeros(len(code_T), np.uint64), np.zeros(0, np.uint64), len(code_T)
    for at in range(SPARSE_WIDTH):
        total = total * np.uint64(MULTIPLIER) + ahead[at : at + num]
        if at == DENSE_WIDTH - 1:
            short = total
    return total, short


def _mixed(value: Array) -> Array:
    """Each number so that all its bits depend on all of them (multiplication wraps on purpose)."""
    import numpy as np

    value = (value ^ (value >> np.uint64(30))) * np.uint64(ROUND)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(MULTIPLIER)
    result: Array = value ^ (value >> np.uint64(31))
    return result
