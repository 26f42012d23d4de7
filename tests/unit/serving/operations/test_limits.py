"""Nobody uses more than their rate and burst; what is given back never makes more of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.registry.access.roles import principal
from graftwork.serving.http.seams import RateLimitedError
from graftwork.serving.operations.buckets import Granted, RetryAfter, full, give_back, take
from graftwork.serving.operations.limits import MOST_KEPT, RateLimits
from graftwork.serving.operations.spec import RatesSpec

ANN, BEN = principal("ann", ["viewer"], tenant="bank"), principal("ben", ["viewer"], tenant="bank")
STEPS = st.lists(st.tuples(st.floats(0, 30), st.floats(0, 15), st.floats(0, 1)), max_size=40)


@given(st.floats(0.1, 5), st.floats(1, 20), STEPS)
def test_what_is_used_is_never_more_than_rate_and_burst(rate, burst, steps):
    """Between any two moments, each request giving back a share of what it took before the next one comes."""
    shares, now_s = {"a": full(rate, burst, 0.0)}, 0.0
    used = []
    for passed_s, amount, unused in steps:
        now_s += passed_s
        took = take(shares, now_s, {"a": amount})
        if isinstance(took, Granted):
            shares = give_back(took.shares, now_s, {"a": amount * unused})
            used.append((now_s, amount - amount * unused))
        assert 0 <= shares["a"].level <= burst
    for i, (since_s, _) in enumerate(used):
        for j in range(i, len(used)):
            total = sum(amount for _, amount in used[i : j + 1])
            assert total <= burst + rate * (used[j][0] - since_s) + 1e-6


@given(st.floats(0.1, 5), st.floats(1, 20), STEPS)
def test_after_the_wait_that_was_told_it_is_granted(rate, burst, steps):
    shares, now_s = {"a": full(rate, burst, 0.0)}, 0.0
    for passed_s, amount, _ in steps:
        now_s += passed_s
        took = take(shares, now_s, {"a": amount})
        if isinstance(took, RetryAfter):
            assert (took.seconds == float("inf")) == (amount > burst)
            if amount > burst:
                continue
            assert isinstance(take(shares, now_s + took.seconds * 0.9 - 1e-6, {"a": amount}), RetryAfter)
            now_s += took.seconds + 1e-6
            took = take(shares, now_s, {"a": amount})
        assert isinstance(took, Granted)
        shares = took.shares


def test_of_several_buckets_all_give_or_none():
    shares = {"a": full(1, 10, 0.0), "b": full(1, 2, 0.0)}
    assert take(shares, 0.0, {"a": 5, "b": 2.5}) == RetryAfter(float("inf"), "b")
    assert isinstance(took := take(shares, 0.0, {"a": 5, "b": 2, "unbounded": 10**9}), Granted)
    assert {name: one.level for name, one in took.shares.items()} == {"a": 5, "b": 0}
    assert take(took.shares, 0.0, {"a": 6, "b": 2}) == RetryAfter(2.0, "b")
    assert take(took.shares, -5.0, {"a": 5}).shares["a"].at_s == 0.0  # a clock that goes back gives nothing


def test_a_tenant_and_each_of_its_keys_have_their_own():
    now_s = 0.0
    spec = {"tenant": {"requests_per_minute": 3}, "key": {"requests_per_minute": 2}, "keys": {"bank/ben": {}}}
    limits = RateLimits(parse(RatesSpec, spec), lambda: now_s)
    limits.take(ANN, 10)
    limits.take(ANN, 10)
    with pytest.raises(
        RateLimitedError, match=r"key bank/ann has used its requests for now. Ask again in 30.0 s."
    ) as no:
        limits.take(ANN, 10)
    assert no.value.retry_after_s == 30.0
    limits.take(BEN, 10)
    with pytest.raises(RateLimitedError, match="tenant bank has used its requests"):
        limits.take(BEN, 10)
    now_s = 20.0
    limits.take(BEN, 10)


def test_tokens_that_were_not_used_come_back():
    limits = RateLimits(parse(RatesSpec, {"tenant": {"tokens_per_minute": 100}}), lambda: 0.0)
    limits.take(ANN, 90)
    with pytest.raises(RateLimitedError, match="tenant bank has used its tokens for now"):
        limits.take(BEN, 20)
    limits.give_back(ANN, 50)
    limits.take(BEN, 20)
    assert limits.left(ANN) == {"tenant bank tokens": 40.0}
    limits.give_back(ANN, 10**9)
    assert limits.left(ANN) == {"tenant bank tokens": 100.0}
    with pytest.raises(
        SpecError, match=r"at most 100 tokens at once for tenant bank. Ask for fewer, with a lower max_to"
    ):
        limits.take(ANN, 101)


def test_who_has_used_nothing_for_long_takes_no_memory():
    now_s = 0.0
    limits = RateLimits(parse(RatesSpec, {"key": {"requests_per_minute": 60}}), lambda: now_s)
    for number in range(MOST_KEPT + 5):
        limits.take(principal(f"k{number}", ["viewer"]), 1)
    now_s = 60.0
    limits.take(ANN, 1)
    assert len(limits._shares) == 1
