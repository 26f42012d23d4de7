"""Groups of records that are alike, without comparing all with all.

Records that share a band of their signatures are candidates. Band by band, those that share one are compared with the
first of them; those that are unlike it are compared with the first among themselves, and so on. Each record is refused
only a few times in all, so a band that very many share costs no more than its size. Bands that few share come first:
where all records begin with one long instruction, the bands that many share tell of the instruction alone.

Legend: N records, P pairs (earlier, later).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from graftwork.data.quality.likeness import Compared, compared

if TYPE_CHECKING:
    from graftwork.data.quality.signature import Array
    from graftwork.data.quality.traits import Traits

FEW = 32
"""Records that share a band, up to which they are few."""

MOST_REFUSALS, MOST_REFUSALS_AMONG_MANY = 8, 2
"""Comparisons in vain of one record, after which it is taken to be like none: among few that share a band, and among
many. Ordinary records meet a false candidate about once in four."""

FEWEST_SHARED = 2
"""Bands that a pair must share to be compared. Of pairs just at a threshold of 0.8 one in twenty shares fewer, of those
at 0.85 one in two hundred; of pairs at 0.5, most of the candidates in text of few words, nine in ten."""

PAIRS_AT_ONCE = 100_000
BLOCK_CHARACTERS = 400_000
"""Characters of the texts held at once."""

TextOf = Callable[[int], str]
Alike = Callable[[Compared, Compared], bool]
Tell = Callable[[float], None]


def first_of_equal(traits: Traits) -> Array:
    """For every record the first of the same content, int64."""
    import numpy as np

    order = np.lexsort((traits.content_N2[:, 1], traits.content_N2[:, 0]))
    ordered = traits.content_N2[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(len(order), np.int64)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first


def grouped(traits: Traits, first: Array, *, alike: Alike, text_of: TextOf, tell: Tell) -> Array:
    """For every record the first record of its group, int64.

    Args:
        first: what `first_of_equal` gives.
        tell: is told the share done.
    """
    import numpy as np

    root_N = first.copy()
    distinct = np.flatnonzero(first == np.arange(len(first)))
    num_bands, refused = traits.bands_NB.shape[1], np.zeros(0, np.int64)
    for turn, (among_many, budget) in enumerate(((False, MOST_REFUSALS), (True, MOST_REFUSALS_AMONG_MANY))):
        refusals_N = np.zeros(len(first), np.uint8)
        for band in range(num_bands):
            open_ = distinct[refusals_N[distinct] < budget]
            members, first_in_run = _runs(open_, traits.bands_NB[open_, band], among_many)
            for _ in range(budget):
                pairs_P2 = _in_order(members, first_in_run)
                pairs_P2 = pairs_P2[(root_N[pairs_P2[:, 0]] != root_N[pairs_P2[:, 1]])]
                pairs_P2 = pairs_P2[~np.isin(_keys(pairs_P2), refused)]
                pairs_P2 = pairs_P2[_share_enough(pairs_P2, traits.bands_NB)]
                is_alike_P = _judged_pairs(pairs_P2, traits.length_N, alike, text_of)
                root_N = united(root_N, pairs_P2[is_alike_P])
                in_vain_P2 = pairs_P2[~is_alike_P]
                refusals_N[in_vain_P2[:, 1]] += 1
                refused = np.concatenate([refused, _keys(in_vain_P2)])
                is_left = (root_N[members] != root_N[first_in_run]) & (refusals_N[members] < budget)
                if not is_left.any():
                    break
                members, first_in_run = _runs(members[is_left], first_in_run[is_left])
            tell((turn * num_bands + band + 1) / (2 * num_bands))
    return root_N


def united(root_N: Array, pairs_P2: Array) -> Array:
    """`root_N` after the two of each pair are in one group; a group's root is its first record."""
    import numpy as np

    parent = dict[int, int]()

    def root(of: int) -> int:
        path = []
        while (above := parent.get(of, of)) != of:
            path.append(of)
            of = above
        parent.update(dict.fromkeys(path, of))
        return of

    for a, b in root_N[pairs_P2].tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    result = root_N.copy()
    if parent:
        moved = np.array([[old, root(old)] for old in sorted(parent)], np.int64)
        at = np.searchsorted(moved[:, 0], root_N).clip(max=len(moved) - 1)
        result = np.where(moved[at, 0] == root_N, moved[at, 1], root_N)
    return result


def blocks(pairs_P2: Array, length_N: Array) -> Iterator[slice]:
    """Slices of `pairs_P2` whose texts have BLOCK_CHARACTERS in all, or a single pair."""
    import numpy as np

    ends = np.cumsum(length_N[pairs_P2].sum(axis=1, dtype=np.int64) + 1)
    begin = 0
    while begin < len(ends):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + BLOCK_CHARACTERS, "right")))
        yield slice(begin, end)
        begin = end


def _runs(members: Array, band_of: Array, among_many: bool | None = None) -> tuple[Array, Array]:
    """The members that share their band with another, in order within each run, and the first of the run of each.

    With `among_many` only those of which more than FEW share it, or only the others.
    """
    import numpy as np

    order = np.argsort(band_of, kind="stable")
    members, ordered = members[order], band_of[order]
    begins = np.ones(len(order), bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    run = np.cumsum(begins) - 1
    size = np.bincount(run, minlength=1)[run]
    shared = size > 1
    if among_many is not None:
        shared &= (size > FEW) == among_many
    return members[shared], members[begins][run][shared]


def _in_order(members: Array, first_in_run: Array) -> Array:
    """The pairs of each member with the first of its run, those of one first together."""
    import numpy as np

    pairs_P2 = np.stack([first_in_run, members], axis=1)
    return pairs_P2[np.lexsort((members, first_in_run))]


def _share_enough(pairs_P2: Array, bands_NB: Array) -> Array:
    """Which pairs share FEWEST_SHARED bands: their texts are worth fetching."""
    import numpy as np

    is_enough_P = np.zeros(len(pairs_P2), bool)
    for at in range(0, len(pairs_P2), PAIRS_AT_ONCE):
        part = slice(at, at + PAIRS_AT_ONCE)
        equal_PB = bands_NB[pairs_P2[part, 0]] == bands_NB[pairs_P2[part, 1]]
        is_enough_P[part] = equal_PB.sum(axis=1) >= FEWEST_SHARED
    return is_enough_P


def _keys(pairs_P2: Array) -> Array:
    """One number for each pair; indices stay below 2^31."""
    result: Array = (pairs_P2[:, 0] << 32) | pairs_P2[:, 1]
    return result


def _judged_pairs(pairs_P2: Array, length_N: Array, alike: Alike, text_of: TextOf) -> Array:
    """For each pair whether it is alike; texts are fetched a block at a time, each once in it, in order."""
    import numpy as np

    is_alike_P = np.zeros(len(pairs_P2), bool)
    for block in blocks(pairs_P2, length_N):
        known = {i: compared(text_of(i)) for i in np.unique(pairs_P2[block]).tolist()}
        is_alike_P[block] = [alike(known[a], known[b]) for a, b in pairs_P2[block].tolist()]
    return is_alike_P
