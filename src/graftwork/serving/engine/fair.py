"""Who of those that wait is next: tenants share the machine by what they got, and within a tenant its adapters do.

Source: virtual token counters: Sheng et al. 2024, https://arxiv.org/abs/2401.00588, section 3: the client who got the
least is next; one who comes back from a pause starts where the least of the others stands, so that nobody saves up.
Departs from it: two levels, tenants and contents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftwork.serving.engine.state import Seat, State, Waiter

SAID_COST, READ_COST = 2.0, 1.0
"""What a token said and one read count for: a said one takes a place in a step for itself."""

Account = tuple[str, ...]
"""A tenant, or a tenant and a content."""


def next_of(state: State) -> Waiter | None:
    """Who is next; None when nobody waits."""
    urgent = [waiter for waiter in state.waiting.values() if waiter.is_urgent]
    if urgent or not state.waiting:
        return urgent[0] if urgent else None

    def order(waiter: Waiter) -> tuple[float, float, int]:
        tenant, content = accounts(waiter)
        return state.got.get(tenant, 0.0), state.got.get(content, 0.0), waiter.number

    return min(state.waiting.values(), key=order)


def accounts(one: Waiter | Seat) -> tuple[Account, Account]:
    """Of the tenant, and of the content within it."""
    return (one.tenant,), (one.tenant, one.content)


def charged(got: Mapping[Account, float], one: Waiter | Seat, cost: float) -> dict[Account, float]:
    """After `one` got so much."""
    return {**got, **{account: got.get(account, 0.0) + cost for account in accounts(one)}}


def arrived(state: State, waiter: Waiter) -> dict[Account, float]:
    """Accounts when `waiter` comes: one with nothing under way starts where the least of the others stands.

    Accounts of whoever has nothing under way any more are closed.
    """
    active = [accounts(one) for one in _under_way(state)]
    tenants, contents = {tenant for tenant, _ in active}, {content for _, content in active}
    tenant, content = accounts(waiter)
    got = {account: state.got.get(account, 0.0) for account in tenants | contents}
    beside = {account for account in contents if account[0] == waiter.tenant}
    for account, others in ((tenant, tenants), (content, beside)):
        if account not in others:
            got[account] = min((got[other] for other in others), default=0.0)
    return got


def _under_way(state: State) -> Iterable[Waiter | Seat]:
    return [*state.waiting.values(), *state.running.values()]
