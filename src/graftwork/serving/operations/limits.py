"""How much a tenant, and each of its keys, may ask for: requests and tokens a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isinf

from graftwork.core.errors import Problem, SpecError
from graftwork.registry.access.roles import Principal
from graftwork.serving.http.seams import RateLimitedError
from graftwork.serving.operations.buckets import Bucket, RetryAfter, Shares, full, give_back, take
from graftwork.serving.operations.spec import RatesSpec

MOST_KEPT = 10_000
"""Buckets in memory; beyond that those that are full, and so as good as new, are let go."""


class RateLimits:
    """The `Limits` of a server. It belongs to one thread."""

    def __init__(self, spec: RatesSpec, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._spec, self._clock = spec, clock
        self._shares: Shares = {}

    def take(self, who: Principal, tokens: int) -> None:
        """As `Limits.take`.

        Raises:
            SpecError: it is more than `who` may ever ask for at once.
            RateLimitedError: it is more than is left.
        """
        now_s = self._clock()
        self._let_go(now_s)
        shares = {**dict(self._fresh(who, now_s)), **self._shares}
        took = take(shares, now_s, self._wanted(who, tokens))
        if not isinstance(took, RetryAfter):
            self._shares = took.shares
            return
        of, _, what = took.short.rpartition(" ")
        if isinf(took.seconds):
            most = int(shares[took.short].burst)
            hint = "Ask for fewer, with a lower max_tokens." if what == "tokens" else ""
            raise SpecError([Problem("max_tokens", tokens, f"at most {most} {what} at once for {of}", hint)])
        message = f"{of} has used its {what} for now. Ask again in {took.seconds:.1f} s."
        raise RateLimitedError(message, retry_after_s=took.seconds)

    def give_back(self, who: Principal, tokens: int) -> None:
        """As `Limits.give_back`."""
        unused = {name: float(max(tokens, 0)) for name in self._wanted(who, 0) if name.endswith(" tokens")}
        self._shares = give_back(self._shares, self._clock(), unused)

    def left(self, who: Principal) -> Mapping[str, float]:
        """What `who` may ask for now, by what it is of."""
        now_s = self._clock()
        shares = {**dict(self._fresh(who, now_s)), **self._shares}
        return {name: shares[name].at(now_s).level for name in self._wanted(who, 0) if name in shares}

    def _wanted(self, who: Principal, tokens: int) -> dict[str, float]:
        return {
            f"{of} {what}": amount for of in _of(who) for what, amount in (("requests", 1.0), ("tokens", float(tokens)))
        }

    def _fresh(self, who: Principal, now_s: float) -> Iterator[tuple[str, Bucket]]:
        tenant, key = _of(who)
        rates = (
            (tenant, self._spec.tenants.get(who.tenant, self._spec.tenant)),
            (key, self._spec.keys.get(f"{who.tenant}/{who.actor}", self._spec.key)),
        )
        for of, rate in rates:
            for what, per_minute in (("requests", rate.requests_per_minute), ("tokens", rate.tokens_per_minute)):
                if per_minute is not None:
                    burst = max(1.0, per_minute / 60 * rate.burst_s)
                    yield f"{of} {what}", full(per_minute / 60, burst, now_s)

    def _let_go(self, now_s: float) -> None:
        if len(self._shares) > MOST_KEPT:
            self._shares = {name: one for name, one in self._shares.items() if not one.at(now_s).is_full}


def _of(who: Principal) -> tuple[str, str]:
    """What the buckets of somebody are called."""
    return f"tenant {who.tenant}", f"key {who.tenant}/{who.actor}"
