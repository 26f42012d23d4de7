"""Never over the budget, nothing taken from under a request, and everybody who waits is served."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from graftwork.serving.models.residency import (
    Plan,
    Resident,
    State,
    Waiter,
    acquired,
    after,
    given_up,
    leaving,
    pinned,
    plan,
    released,
    taken_out,
    waited_for,
)

BUDGET, PATIENCE_S = 100, 5.0
SIZES = {"a": 60, "b": 50, "c": 40, "d": 10, "e": 100, "huge": 101}


def resident(version, **asked):
    return Resident(version=version, num_bytes=SIZES[version], **asked)


def waiter(version, since_s=0.0):
    return Waiter(version=version, num_bytes=SIZES[version], since_s=since_s)


def state(residents=(), waiting=()):
    return State(budget_bytes=BUDGET, residents=tuple(residents), waiting=tuple(waiting))


def planned(here, now_s=0.0):
    return plan(here, now_s=now_s, patience_s=PATIENCE_S)


def test_the_least_recently_acquired_idle_one_leaves():
    here = state([resident("c"), resident("d"), resident("b")], [Waiter(version="x", num_bytes=20, since_s=0.0)])
    assert planned(here) == Plan(evict=("c",), load=("x",))
    here = released(acquired(here, "c"), "c")
    assert planned(here) == Plan(evict=("d", "b"), load=("x",))
    assert planned(acquired(here, "d")) == Plan(evict=("b",), load=("x",))


def test_one_that_fits_may_go_before_one_that_does_not_until_that_one_starves():
    here = state([resident("a", holders=1)], [waiter("b"), waiter("c", since_s=1.0)])
    assert planned(here, 1.0) == Plan(load=("c",))
    assert planned(here, PATIENCE_S) == Plan(closed=frozenset("a"))


def test_who_starves_gets_idle_memory_at_once_and_closes_no_more_than_it_needs():
    here = state([resident("d"), resident("c", holders=2), resident("b", holders=1)], [waiter("a")])
    assert planned(here, PATIENCE_S) == Plan(evict=("d",), closed=frozenset("cb"))
    here = replace(here, waiting=(Waiter(version="x", num_bytes=45, since_s=0.0),))
    assert planned(here, PATIENCE_S) == Plan(evict=("d",), closed=frozenset("c"))


def test_what_was_closed_stays_the_one_that_is_and_opens_when_the_waiter_gives_up():
    here = state([resident("c", holders=1), resident("b", holders=1)], [Waiter(version="x", num_bytes=45, since_s=0.0)])
    here = after(here, planned(here, 9.0))
    assert [one.version for one in here.residents if one.is_closed] == ["c"]
    here = replace(here, residents=here.residents[::-1])  # now the other one was acquired less recently
    assert planned(here, 10.0).closed == {"c"}
    here = waited_for(here, "c", 40, since_s=10.0)
    assert planned(given_up(here, "x"), 11.0) == Plan(ready=("c",))


def test_what_is_pinned_stays_and_what_can_never_fit_is_told():
    here = state([resident("a", is_pinned=True)], [waiter("huge"), waiter("b"), waiter("d")])
    assert planned(here, 100.0) == Plan(load=("d",), hopeless=("huge", "b"))
    assert planned(pinned(here, "a", is_pinned=False), 100.0) == Plan(evict=("a",), load=("b", "d"), hopeless=("huge",))


def test_what_an_operator_unloads_leaves_when_no_request_holds_it_and_may_come_again():
    here = waited_for(leaving(state([resident("c", holders=1), resident("d")]), "c"), "c", 40, since_s=0.0)
    assert planned(here, 100.0) == Plan()
    assert planned(released(here, "c")) == Plan(evict=("c",), load=("c",))
    assert planned(given_up(released(here, "c"), "c")) == Plan(evict=("c",))


def test_what_is_pinned_is_never_closed_for_another():
    here = state([resident("c", holders=1, is_pinned=True), resident("b", holders=1)], [waiter("a")])
    assert planned(here, 100.0) == Plan(closed=frozenset("b"))


def test_two_versions_of_one_name_are_two_residents():
    here = after(state([], [waiter("c"), waiter("b")]), planned(state([], [waiter("c"), waiter("b")])))
    assert [one.version for one in here.residents] == ["c", "b"]
    assert taken_out(here, "c").used_bytes == 50


class Traffic(RuleBasedStateMachine):
    """Whatever is asked in whatever order."""

    def __init__(self):
        super().__init__()
        self.state, self.now_s = state(), 0.0

    @rule(version=st.sampled_from(sorted(SIZES)))
    def ask(self, version):
        found = self.state.find(version)
        if found and found.is_open:
            self.state = acquired(self.state, version)
        else:
            self.state = waited_for(self.state, version, SIZES[version], since_s=self.now_s)

    @precondition(lambda self: any(one.holders for one in self.state.residents))
    @rule(data=st.data())
    def end(self, data):
        held = [one.version for one in self.state.residents if one.holders]
        self.state = released(self.state, data.draw(st.sampled_from(held)))

    @precondition(lambda self: self.state.residents)
    @rule(data=st.data(), is_pinned=st.booleans())
    def pin(self, data, is_pinned):
        version = data.draw(st.sampled_from([one.version for one in self.state.residents]))
        self.state = pinned(self.state, version, is_pinned=is_pinned)

    @precondition(lambda self: self.state.residents)
    @rule(data=st.data())
    def unload(self, data):
        self.state = leaving(self.state, data.draw(st.sampled_from([one.version for one in self.state.residents])))

    @precondition(lambda self: self.state.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        self.state = given_up(self.state, data.draw(st.sampled_from([one.version for one in self.state.waiting])))

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0]))
    def time_goes_on(self, seconds):
        self.now_s += seconds

    @rule()
    def carry_out(self):
        for _ in range(2 * len(SIZES)):
            done = planned(self.state, self.now_s)
            untouchable = {one.version for one in self.state.residents if one.holders or one.is_pinned}
            assert not untouchable & set(done.evict)
            assert not {one.version for one in self.state.residents if one.is_pinned} & done.closed
            assert not done.closed or (starving(self.state, self.now_s) and not set(done.evict) & done.closed)
            self.state = after(self.state, done)
            if not done.moves_memory:
                return
        raise AssertionError("one plan after another moves memory")

    @invariant()
    def all_is_well(self):
        self.state.check()


def starving(here, now_s):
    return any(now_s - one.since_s >= PATIENCE_S for one in here.waiting)


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, BUDGET), min_size=2, max_size=6),
    lasts=st.integers(1, 4),
    chooses=st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=8),
)
def test_everybody_who_waits_is_served_however_busy_the_others_are(sizes, lasts, chooses):
    """Every second somebody asks for each version that is open, so that none ever becomes idle by itself."""
    here, running = state(), []
    bound_s = (PATIENCE_S + lasts + 2) * (len(sizes) + 1)
    for now_s in range(int(3 * bound_s)):
        for version, until in list(running):
            if until <= now_s:
                running.remove((version, until))
                here = released(here, version)
        wanted = {number % len(sizes) for number in chooses[now_s % len(chooses)]}
        busy = {int(one.version) for one in here.residents}
        for number in sorted(wanted | busy):
            version = str(number)
            found = here.find(version)
            if found and found.is_open:
                here = acquired(here, version)
                running.append((version, now_s + lasts))
            else:
                here = waited_for(here, version, sizes[number], since_s=now_s)
        done = planned(here, now_s)
        here = after(here, done)
        here.check()
        running += [(version, now_s + lasts) for version in done.load]
        assert all(now_s - one.since_s <= bound_s for one in here.waiting), here
