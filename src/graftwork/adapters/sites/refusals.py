"""Why nothing can be put in front of the tokens of a base: each reason found before an adapter is put in."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graftwork.adapters.sites.context import body_of
from graftwork.adapters.sites.watched import KNOWN, Watched, asks_by_name
from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank

SEEN = {"full_attention", "sliding_attention"}
"""Kinds of layer whose attention we know how to reach over."""


def context_problems(bank: AdapterBank, here: Placed) -> Iterator[Problem]:
    """What keeps a prefix from lying in front of the keys of one attention module."""
    expected = "a method that this base allows"
    name = here.method.name
    if not asks_by_name(bank.module(here.place.name)):
        hint = f"{here.place.name} computes attention in a way of its own, so no keys can be put in front of others."
        yield Problem("adapter.method", name, expected, hint)
    yield from base_problems(bank, name)


def base_problems(bank: AdapterBank, method: str) -> Iterator[Problem]:
    """What keeps anything from lying in front of any token of the base."""
    expected = "a method that this base allows"
    config: Any = bank.host.model.config.get_text_config()
    kind = config.original._attn_implementation if isinstance(config, Watched) else config._attn_implementation
    if kind not in KNOWN:
        hint = f"It needs attention by {' or '.join(KNOWN)}; here it is {kind}. Set attention: {KNOWN[0]}."
        yield Problem("adapter.method", method, expected, hint)
    if "position_ids" not in inspect.signature(body_of(bank).forward).parameters:
        yield Problem("adapter.method", method, expected, "This base takes no positions, so none can lie in front.")
    strange: set[str] = set(getattr(config, "layer_types", None) or ()) - SEEN
    if strange or getattr(config, "num_kv_shared_layers", None):
        hint = f"Some of its layers have {min(strange) if strange else 'the keys of others'}."
        yield Problem("adapter.method", method, expected, hint)
