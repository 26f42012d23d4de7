"""A bank with a budget evicts the least recently used, never one in use, and says so."""

import pytest

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.budget import Kept, to_evict
from graftwork.core.errors import CapacityError, NotFoundError


@pytest.fixture
def room(load, lively):
    """`room(n)`: a bank with room for n adapters and a half, and a way to put one in."""
    probe = AdapterBank(load())
    each = probe[lively(probe)].num_bytes
    return lambda n: AdapterBank(load(), budget_bytes=each * n + each // 2)


def test_without_a_budget_nothing_leaves(bank, lively):
    handles = [lively(bank, seed) for seed in range(4)]
    assert len(bank) == 4
    assert bank.evicted == []
    assert all(handle in bank for handle in handles)


def test_the_least_recently_routed_leaves(room, lively, logits, tokens_BT):
    bank = room(2)
    first, second = lively(bank, 1), lively(bank, 2)
    logits(bank, tokens_BT(), [first, None])
    third = lively(bank, 3)
    assert bank.evicted == [second]
    assert [handle in bank for handle in (first, second, third)] == [True, False, True]


def test_an_evicted_adapter_is_refused_by_name(room, lively):
    bank = room(1)
    first = lively(bank, 1)
    lively(bank, 2)
    with pytest.raises(NotFoundError) as raised, bank.route([first]):
        pass
    assert str(raised.value) == "adapter lively-1 (1) was evicted to make room for another. Put it in again."


def test_a_pinned_adapter_and_one_in_a_route_stay(room, lively):
    bank = room(2)
    pinned, routed = lively(bank, 1), lively(bank, 2)
    bank.pin(pinned)
    with bank.route([routed]), pytest.raises(CapacityError, match="can be freed"):
        lively(bank, 3)
    assert len(bank) == 2
    assert bank.evicted == []
    lively(bank, 3)
    assert bank.evicted == [routed]
    bank.unpin(pinned)
    lively(bank, 4)
    assert bank.evicted == [routed, pinned]


def test_one_that_is_larger_than_the_budget_is_refused_with_both_numbers():
    with pytest.raises(CapacityError) as raised:
        to_evict(50, 40, [Kept(handle="a", num_bytes=30, is_free_to_go=True)])
    assert str(raised.value).startswith("the adapter needs 50 bytes; of the bank's 40 at most 40 can be freed")


def test_no_more_leave_than_must():
    held = [Kept(handle=n, num_bytes=10, is_free_to_go=True) for n in range(5)]
    assert to_evict(15, 60, held) == [0]
    assert to_evict(25, 60, held) == [0, 1]
    assert to_evict(10, 60, held) == []


def test_one_adapter_under_two_names_counts_once_and_leaves_under_both(room, lively):
    bank = room(2)
    first = lively(bank, 1)
    again = bank.add(bank[first], name="again")
    second = lively(bank, 2)
    assert bank.evicted == []
    third = lively(bank, 3)
    assert bank.evicted == [first, again]
    assert all(handle in bank for handle in (second, third))


def test_one_more_name_for_an_adapter_needs_no_room(room, lively):
    bank = room(1)
    first = lively(bank, 1)
    assert bank[bank.add(bank[first], name="again")] is bank[first]
    assert bank.evicted == []


def test_one_adapter_under_two_names_stays_while_one_of_them_is_needed(room, lively, logits, tokens_BT):
    bank = room(2)
    first = lively(bank, 1)
    again, second = bank.add(bank[first], name="again"), lively(bank, 2)
    logits(bank, tokens_BT(), [again, None])
    third = lively(bank, 3)
    assert bank.evicted == [second]
    bank.pin(first)
    lively(bank, 4)
    assert bank.evicted == [second, third]
    assert first in bank
    assert again in bank
