"""Records of one packed row, each with its attention to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graftwork.adapters.sites.attention_cache import listen
from graftwork.adapters.sites.context import entrance
from graftwork.adapters.sites.refusals import base_problems
from graftwork.adapters.sites.watched import asks_by_name
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank


def groups_problems(bank: AdapterBank) -> tuple[Problem, ...]:
    """What keeps records of one packed row from being kept apart here; found once a bank."""
    if bank.apart_problems is None:
        bank.apart_problems = tuple(_problems(bank))
    return bank.apart_problems


def refuse_unless_apart(bank: AdapterBank) -> None:
    """Raise SpecError where `groups_problems` finds any."""
    if problems := groups_problems(bank):
        raise SpecError(problems)


@contextmanager
def kept_apart(bank: AdapterBank) -> Iterator[None]:
    """Inside, the bank has a say in the attention of every layer of its base."""
    undos = [entrance(bank), *(listen(bank, place.name) for place in bank.host.facts.attentions)]
    try:
        yield
    finally:
        for undo in undos:
            undo.remove()


def _problems(bank: AdapterBank) -> list[Problem]:
    facts, expected = bank.host.facts, "a base whose attention can be cut by record"
    found = [] if facts.attentions and facts.is_causal else [Problem("base", bank.host.ref, expected)]
    own = [place.name for place in facts.attentions if not asks_by_name(bank.module(place.name))]
    found += [Problem("base", bank.host.ref, expected, f"{name} computes attention its own way.") for name in own[:1]]
    return [*found, *base_problems(bank, "packed records")]
