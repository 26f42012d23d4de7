"""Token buckets as values: what is left of what somebody may use. Pure; the clock is the caller's.

    level(t) = min(burst, level(s) + rate * (t - s))

What is used between any two moments is at most burst + rate * (t - s), what was given back not counted.

Source: the token bucket of RFC 2697, section 3, in its simple form with one rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

Shares = Mapping[str, "Bucket"]
"""Buckets by what they are for; who has none uses as much as they like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """What somebody may use.

    Attributes:
        rate_per_s: what flows in.
        burst: the most there ever is.
        level: what there was at `at_s`.
        at_s: by a clock that never goes back.
    """

    rate_per_s: float
    burst: float
    level: float
    at_s: float

    def at(self, now_s: float) -> Bucket:
        """As it is at a later moment; an earlier one changes nothing."""
        passed_s = max(0.0, now_s - self.at_s)
        level = min(self.burst, self.level + self.rate_per_s * passed_s)
        return replace(self, level=level, at_s=max(now_s, self.at_s))

    @property
    def is_full(self) -> bool:
        """Whether it is as one that was never used."""
        return self.level >= self.burst


@dataclass(frozen=True, slots=True)
class Granted:
    """Taken; the buckets afterwards."""

    shares: Shares


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not taken: that much is not left.

    Attributes:
        seconds: until all of it will be there, if nobody else takes any; infinite when it never can be.
        short: what the bucket is for that fills last.
    """

    seconds: float
    short: str


def full(rate_per_s: float, burst: float, now_s: float) -> Bucket:
    """A bucket that nobody has taken from."""
    return Bucket(rate_per_s=rate_per_s, burst=burst, level=burst, at_s=now_s)


def take(shares: Shares, now_s: float, wanted: Mapping[str, float]) -> Granted | RetryAfter:
    """Take from several buckets at once, or from none.

    Args:
        wanted: how much, by what buckets are for; those that are not there have no bound.
    """
    now = {name: shares[name].at(now_s) for name in wanted if name in shares}
    waits = {name: _wait_s(bucket, wanted[name]) for name, bucket in now.items()}
    longest = max(waits, key=lambda name: waits[name], default=None)
    if longest is not None and waits[longest] > 0:
        return RetryAfter(waits[longest], longest)
    after = {name: replace(bucket, level=bucket.level - wanted[name]) for name, bucket in now.items()}
    return Granted({**shares, **after})


def give_back(shares: Shares, now_s: float, unused: Mapping[str, float]) -> Shares:
    """Give back what was taken and not used; a bucket never gets more than it holds.

    Args:
        unused: not below zero, and at most what was taken; that is for the caller to see to.
    """
    now = {name: shares[name].at(now_s) for name in unused if name in shares}
    after = {name: replace(one, level=min(one.burst, one.level + unused[name])) for name, one in now.items()}
    return {**shares, **after}


def _wait_s(bucket: Bucket, wanted: float) -> float:
    if wanted <= bucket.level:
        return 0.0
    if wanted > bucket.burst or bucket.rate_per_s == 0:
        return float("inf")
    return (wanted - bucket.level) / bucket.rate_per_s
