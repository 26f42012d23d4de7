"""What a step computes: everybody comes to an end, nobody waits for ever, and how a prompt is cut is its own affair."""

from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.serving.engine.pages import PAGE_TOKENS, keys_of
from graftwork.serving.engine.plan import Limits, fits, plan_step
from graftwork.serving.engine.state import Waiter, begun, joined, left, read, said

ASKED = st.tuples(
    st.sampled_from("AB"),
    st.sampled_from("xyz"),
    st.integers(0, 9),
    st.integers(1, 260),
    st.integers(1, 5),
    st.booleans(),
)


def waiter(number, asked):
    tenant, content, in_front, num_prompt, max_new, is_urgent = asked
    return Waiter(
        id=str(number),
        number=number,
        tenant=tenant,
        content=content,
        num_in_front=in_front,
        num_prompt=in_front + num_prompt,
        max_new=max_new,
        keys=keys_of(content, in_front, [7] * num_prompt),
        is_urgent=is_urgent,
    )


def stepped(state, limits):
    """One step, and what it was."""
    plan = plan_step(state, limits)
    state = plan.state
    for chunk in plan.chunks:
        state = read(state, chunk.id, chunk.end)
    ready = [*plan.singles, *(chunk.id for chunk in plan.chunks if chunk.is_last)]
    state = said(state, dict.fromkeys(ready, 1.0), frozenset(plan.singles))
    for id_ in ready:
        seat = state.running[id_]
        if seat.num_said == seat.waiter.max_new:
            state = left(state, id_)
    state.check()
    return state, plan


@settings(max_examples=60)
@given(
    st.lists(st.tuples(ASKED, st.integers(0, 2)), max_size=20),
    st.integers(1, 4),
    st.sampled_from([1, 64, 300]),
    st.sets(st.integers(0, 19), max_size=4),
)
def test_everybody_ends_in_as_many_steps_as_there_is_work(traffic, max_running, read_tokens, cancelled):
    limits = Limits(max_running=max_running, read_tokens=read_tokens)
    state, arriving, chunks = begun(6), list(enumerate(traffic)), {}
    steps = 0
    while arriving or state.waiting or state.running:
        for _ in range(arriving[0][1][1] + 1 if arriving else 0):
            if not arriving:
                break
            number, (asked, _) = arriving.pop(0)
            one = waiter(number, asked)
            if fits(state, one):
                state = joined(state, one)
        if steps in cancelled:
            state = left(state, str(steps))
            state.check()
        state, plan = stepped(state, limits)
        assert len(state.running) <= max_running + sum(seat.waiter.is_urgent for seat in plan.state.running.values())
        for chunk in plan.chunks:
            chunks.setdefault(chunk.id, []).append((chunk.start, chunk.end))
        steps += 1
        assert steps < 40 * (len(traffic) + 1)
    for number, cuts in chunks.items():
        of_one = waiter(int(number), traffic[int(number)][0])
        assert all(end == of_one.num_prompt or end % PAGE_TOKENS == 0 for _, end in cuts)
        assert all(start == of_one.num_in_front or start % PAGE_TOKENS == 0 for start, _ in cuts)


def test_a_large_request_is_not_overtaken_for_ever():
    limits, state = Limits(max_running=8, read_tokens=64), begun(6)
    for number in range(3):
        state = joined(state, waiter(number, ("A", "x", 0, 60, 100, False)))
    state, _ = stepped(state, limits)
    state = joined(state, waiter(3, ("B", "x", 0, 300, 2, False)))
    for number in range(4, 200):
        state = joined(state, waiter(number, ("A", "x", 0, 60, 100, False)))
        state, _ = stepped(state, limits)
        if "3" not in state.waiting:
            break
    assert number < 130


def test_tenants_share_what_there_is_however_many_requests_they_send():
    limits, state, served, number = Limits(max_running=2, read_tokens=64), begun(50), {"A": 0, "B": 0}, 0
    for tenant, num in (("A", 90), ("B", 10)):
        for _ in range(num):
            state = joined(state, waiter(number, (tenant, "x", 0, 20, 5, False)))
            number += 1
    while state.waiting:
        before = dict(state.waiting)
        state, plan = stepped(state, limits)
        for seat in plan.came_in:
            served[before[seat.id].tenant] += 1
        if served["B"] < 10:
            assert abs(served["A"] - served["B"]) <= 3
    assert served == {"A": 90, "B": 10}


def test_who_comes_back_from_a_pause_has_saved_nothing_up():
    limits, state = Limits(max_running=1, read_tokens=64), begun(50)
    for number in range(40):
        state = joined(state, waiter(number, ("A", "x", 0, 20, 5, False)))
    for _ in range(100):
        state, _ = stepped(state, limits)
    for number in range(100, 120):
        state = joined(state, waiter(number, ("B", "x", 0, 20, 5, False)))
    order = []
    while len(order) < 10:
        state, plan = stepped(state, limits)
        order += [seat.tenant for seat in plan.came_in]
    assert 4 <= order.count("A") <= 6
