"""Charts: round ticks, everything within the plane, no spike lost, and no line longer than it need be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.pipeline.pages.charts import MOST_POINTS, Line, chart, number_text, path_of, smoothed, thinned, ticks

values = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
lines = st.lists(values, min_size=1, max_size=50).map(lambda told: list(enumerate(told, 1)))
NAME = ("Loss", "损失")


def drawn(points, **how):
    told = [Line(name=NAME, sort="train", points=points)]
    return chart(NAME, NAME, told, num_steps=max(step for step, _ in points), **how)


@given(values, st.floats(0, 1e6))
def test_ticks_are_few_rise_and_hold_all_between_them(low, range_):
    told = ticks(low, low + range_)
    assert 2 <= len(told) <= 7
    assert told == sorted(set(told))
    assert told[0] <= low + 1e-6 * (1 + abs(low) + range_)
    assert told[-1] >= low + range_ - 1e-6 * (1 + abs(low) + range_)


@given(lines)
def test_every_point_lies_within_the_plane(points):
    one = drawn(points)
    assert all(0 <= x <= 1 and -1e-3 <= y <= 1 + 1e-3 for line in one.lines for x, y in line.points)
    assert all(0 <= at <= 1 for at, _ in (*one.ticks_x, *one.ticks_y))


def test_higher_is_further_up_and_later_further_right():
    ((first, second),) = (line.points for line in drawn([(1, 2.0), (2, 3.0)]).lines)
    assert first == (0.5, 1.0)
    assert second == (1.0, 0.0)


def test_a_wide_range_is_logarithmic_where_that_is_allowed():
    points = [(1, 0.01), (2, 1.0), (3, 100.0)]
    assert [words for _, words in drawn(points, may_be_log=True).ticks_y] == ["0.01", "0.1", "1", "10", "100"]
    assert [y for _, y in drawn(points, may_be_log=True).lines[0].points] == [1.0, 0.5, 0.0]
    assert "0.01" not in [words for _, words in drawn(points).ticks_y]
    assert "0.01" not in [words for _, words in drawn([*points, (4, 0.0)], may_be_log=True).ticks_y]


@given(st.lists(values, min_size=1, max_size=3000))
def test_a_thinned_line_keeps_both_ends_and_every_extreme_in_order(told):
    points = list(enumerate(told))
    kept = thinned(points)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert {min(told), max(told)} <= {value for _, value in kept}
    assert kept == sorted(set(kept))
    assert len(kept) <= MOST_POINTS + 2


@given(lines, st.integers(1, 20))
def test_a_smoothed_line_stays_between_its_lowest_and_highest_and_keeps_its_ends(points, around):
    told = smoothed(points, around=around)
    raw = [value for _, value in points]
    assert [step for step, _ in told] == [step for step, _ in points]
    assert all(min(raw) - 1e-3 <= value <= max(raw) + 1e-3 for _, value in told)
    assert told[0][1] == pytest.approx(raw[0], abs=1e-3)
    assert told[-1][1] == pytest.approx(raw[-1], abs=1e-3)


def test_a_straight_line_is_its_own_mean_so_smoothing_does_not_lag():
    points = [(step, 3.0 * step) for step in range(30)]
    assert smoothed(points, around=4) == points


@pytest.mark.parametrize(
    ("value", "words"),
    [(2e-4, "2e-4"), (0.001, "0.001"), (2.5e7, "2.5e7"), (12500.0, "12,500"), (-1.5, "-1.5"), (0, "0")],
)
def test_numbers_are_short(value, words):
    assert number_text(value) == words


def test_a_path_visits_every_point():
    assert path_of([(0, 1), (0.25, 0.5), (1, 0)]) == "M0 1L0.25 0.5L1 0"
