"""Which records are held out: by content and seed alone, so order, machine and workers do not matter. Pure."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Problem, SpecError
from graftwork.data.spec import HeldOut

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST = 2
"""Held-out records that are needed at least: from one, no spread can be estimated."""


def held_out(digests_N2: "Array", groups_N: "Array", strata_N: "Array", asked: HeldOut, *, seed: int) -> "Array":
    """Which records are held out; records of one group stay on one side.

    Groups are drawn in an order that the seed and the smallest digest of each decide, and taken while they fit.

    Args:
        digests_N2: uint64, the first 16 bytes of what names each record's content.
        groups_N: int64, numbered from 0; records of the same content have the same.
        strata_N: of each value of it the same share is held out.

    Returns:
        is_held_N, bool.

    Raises:
        SpecError: nothing would be left on one of the sides.
    """
    import numpy as np

    num = len(groups_N)
    room = round(asked.fraction * num)
    order = np.lexsort((digests_N2[:, 1], digests_N2[:, 0], groups_N))
    first_G = order[np.flatnonzero(np.diff(groups_N[order], prepend=-1))]  # of each group, the smallest digest
    size_G = np.bincount(groups_N, minlength=len(first_G)) if num else np.zeros(0, dtype=np.int64)
    draw_G = np.array([_draw(seed, *digests_N2[i].tolist()) for i in first_G.tolist()], dtype="<u8")
    is_held_G = np.zeros(len(first_G), dtype=bool)
    stratum_G = strata_N[first_G]
    kinds, of_kind_G = np.unique(stratum_G, return_inverse=True)
    sizes = np.bincount(of_kind_G, weights=size_G, minlength=len(kinds)).astype(np.int64)
    for kind, share in enumerate(_shares(sizes, min(room, asked.most or room))):
        inside = np.flatnonzero(of_kind_G == kind)
        drawn = inside[np.argsort(draw_G[inside], kind="stable")]
        _take(drawn.tolist(), size_G, share, is_held_G)
    is_held_N: Array = is_held_G[groups_N] if num else np.zeros(0, dtype=bool)
    _refuse_empty_sides(is_held_N, asked)
    return is_held_N


def _shares(sizes: "Array", room: int) -> list[int]:
    """`room` divided in proportion to `sizes`, the largest remainders rounded up."""
    import numpy as np

    exact = sizes * (room / max(int(sizes.sum()), 1))
    shares = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(shares - exact, kind="stable")
    shares[by_remainder[: room - int(shares.sum())]] += 1
    told: list[int] = shares.tolist()
    return told


def _take(drawn: Sequence[int], size_G: "Array", room: int, is_held_G: "Array") -> None:
    """Mark groups of `drawn`, in order, as long as there is room for the whole group."""
    for group in drawn:
        if not room:
            return
        if size_G[group] <= room:
            room -= int(size_G[group])
            is_held_G[group] = True


def joined(*keys: "Array") -> "Array":
    """Groups in which any two records that agree in one of `keys` are together: int64, numbered from 0.

    Args:
        keys: int64, one entry a record; -1 agrees with nothing.
    """
    import numpy as np

    parent = np.arange(len(keys[0]), dtype=np.int64)
    for key in keys:
        order = np.argsort(key, kind="stable")
        same = (key[order][1:] == key[order][:-1]) & (key[order][1:] >= 0)
        for a, b in zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True):
            _join(parent, a, b)
    roots = np.array([_root(parent, i) for i in range(len(parent))], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _draw(seed: int, high: int, low: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{high:016x}{low:016x}".encode()).digest()[:8], "big")


def _root(parent: "Array", i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i


def _join(parent: "Array", a: int, b: int) -> None:
    first, second = sorted((_root(parent, a), _root(parent, b)))
    parent[second] = first


def _refuse_empty_sides(is_held: "Array", asked: HeldOut) -> None:
    num_held = int(is_held.sum())
    if num_held < FEWEST or num_held == len(is_held):
        expected = f"a share that leaves records to train on and holds out at least {FEWEST}"
        hint = f"There are {len(is_held)} different records, {num_held} would be held out."
        if asked.most is not None and asked.most < FEWEST:
            raise SpecError([Problem("data.evaluation.most", asked.most, f"at least {FEWEST}", hint)])
        raise SpecError([Problem("data.evaluation.fraction", asked.fraction, expected, hint)])
