"""The input embedding site: soft tokens in front of the tokens.

They are read by the base once an adapter, as `sites.context` says, so every attention module must have a say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftwork.adapters.sites.attention_cache import listen
from graftwork.adapters.sites.context import Undo, entrance
from graftwork.adapters.sites.hook import HOOKS, Hook
from graftwork.adapters.sites.refusals import base_problems
from graftwork.adapters.sites.watched import asks_by_name
from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.facts import Place


def attach(bank: AdapterBank, place: Place) -> list[Undo]:
    """The bank's entrance before the body, and a say in the attention of every module."""
    return [entrance(bank), *(listen(bank, attention.name) for attention in bank.host.facts.attentions)]


def problems(bank: AdapterBank, here: Placed) -> Iterator[Problem]:
    """What keeps soft tokens from being read once an adapter."""
    facts = bank.host.facts
    odd = [a.name for a in facts.attentions if not asks_by_name(bank.module(a.name))]
    if odd or len(facts.attentions) != facts.num_layers:
        hint = "It needs attention of one form in every layer" + (f"; {odd[0]} has its own." if odd else ".")
        yield Problem("adapter.method", here.method.name, "a method that this base allows", hint)
    yield from base_problems(bank, here.method.name)


HOOKS.add("input_embedding", Hook(name="input_embedding", attach=attach, problems=problems))
