"""Which pages of the cache hold whose keys and values: a value, changed by pure functions.

A page has places for `PAGE_TOKENS` tokens. A running request holds as many as it can ever need, so nobody is put out in
the middle of an answer. Whole pages of prompts stay behind under a digest of all that they follow from: what computes
(the content), and every token up to their end. A later request with the same beginning takes them; who finds no free
page takes the one that was used longest ago.

Source: pages of keys and values: Kwon et al. 2023, https://arxiv.org/abs/2309.06180, section 4; the digest of a page
over all that is before it: vLLM's automatic prefix caching.
Departs from them: pages are promised when a request begins, so there is no preemption; pages of answers are not kept,
for what was computed token by token is not to the bit what reading a prompt gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

PAGE_TOKENS = 64

Key = bytes
"""Digest of what a page holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages:
    """Every page is free, kept or held; a held one may have a key too.

    Attributes:
        free: pages with nothing in them.
        holders: how many requests hold a page.
        key_of: of pages that a later request may take.
        page_of: the other way round.
        idle: kept pages that nobody holds, the longest unused first.
    """

    num_pages: int
    free: tuple[int, ...]
    holders: dict[int, int] = field(default_factory=dict)
    key_of: dict[int, Key] = field(default_factory=dict)
    page_of: dict[Key, int] = field(default_factory=dict)
    idle: dict[int, None] = field(default_factory=dict)

    @property
    def num_available(self) -> int:
        """Pages that a request can get."""
        return len(self.free) + len(self.idle)

    def check(self) -> None:
        """Every page is in exactly one of the three places."""
        places = [*self.free, *self.idle, *self.holders]
        assert sorted(places) == list(range(self.num_pages)), places
        assert all(self.key_of[page] == key for key, page in self.page_of.items())
        assert set(self.idle) <= set(self.key_of)
        assert len(self.key_of) == len(self.page_of)


def empty(num_pages: int) -> Pages:
    """All free."""
    return Pages(num_pages=num_pages, free=tuple(range(num_pages)))


def num_pages_for(num_tokens: int) -> int:
    """Pages that so many tokens need.

    >>> num_pages_for(64), num_pages_for(65)
    (1, 2)
    """
    return -(-num_tokens // PAGE_TOKENS)


def keys_of(content: str, num_in_front: int, prompt_T: Sequence[int]) -> tuple[Key, ...]:
    """Keys of the whole pages of a prompt, but for its last token, which is always computed anew.

    Args:
        num_in_front: positions in front of the prompt, which follow from the content.
    """
    num_whole = (num_in_front + len(prompt_T) - 1) // PAGE_TOKENS
    keys, before = [], hashlib.sha256(content.encode()).digest()
    for page in range(num_whole):
        start, end = (max(0, at * PAGE_TOKENS - num_in_front) for at in (page, page + 1))
        before = hashlib.sha256(before + ",".join(map(str, prompt_T[start:end])).encode()).digest()
        keys.append(before)
    return tuple(keys)


def found(pages: Pages, keys: Sequence[Key]) -> tuple[int, ...]:
    """Pages that hold the beginning of what `keys` name."""
    there: list[int] = []
    for key in keys:
        if key not in pages.page_of:
            break
        there.append(pages.page_of[key])
    return tuple(there)


def taken(pages: Pages, shared: Sequence[int], num_more: int) -> tuple[Pages, tuple[int, ...]] | None:
    """Pages for a request: those found, and so many more; None if there are not enough."""
    num_idle = len(pages.idle) - sum(page in pages.idle for page in shared)
    if num_more > len(pages.free) + num_idle:
        return None
    idle, holders = dict(pages.idle), dict(pages.holders)
    for page in shared:
        idle.pop(page, None)
    fresh, free = list(pages.free[:num_more]), pages.free[num_more:]
    key_of, page_of = pages.key_of, pages.page_of
    if missing := num_more - len(fresh):
        key_of, page_of = dict(key_of), dict(page_of)
        for page in list(idle)[:missing]:
            del idle[page], page_of[key_of.pop(page)]
            fresh.append(page)
    for page in (*shared, *fresh):
        holders[page] = holders.get(page, 0) + 1
    made = replace(pages, free=free, idle=idle, holders=holders, key_of=key_of, page_of=page_of)
    return made, (*shared, *fresh)


def kept(pages: Pages, page: int, key: Key) -> Pages:
    """`page`, which is full now, may be found under `key`; if another is already, it stays as it is."""
    if key in pages.page_of or page in pages.key_of:
        return pages
    return replace(pages, key_of={**pages.key_of, page: key}, page_of={**pages.page_of, key: page})


def given_back(pages: Pages, held: Sequence[int]) -> Pages:
    """One request fewer holds `held`; of a prompt the last pages are the first to be taken by others."""
    holders, idle, free = dict(pages.holders), dict(pages.idle), list(pages.free)
    for page in reversed(held):
        holders[page] -= 1
        if not holders[page]:
            del holders[page]
            if page in pages.key_of:
                idle[page] = None
            else:
                free.append(page)
    return replace(pages, free=tuple(free), holders=holders, idle=idle)
