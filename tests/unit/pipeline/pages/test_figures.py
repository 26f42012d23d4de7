"""Pictures: in proportion to their numbers."""

import re

from hypothesis import given
from hypothesis import strategies as st

from graftwork.pipeline.pages.figures import TRUNK, bars, fork, share_text, stretch

COUNTS = st.integers(0, 10**7)


def numbers(path):
    return [float(number) for number in re.findall(r"[\d.]+", path)]


@given(COUNTS, COUNTS, COUNTS)
def test_what_goes_on_and_what_leaves_are_as_wide_as_their_rows(kept, left, before):
    total = kept + left + before
    drawn = stretch(kept + left, kept, total)
    if not left:
        assert drawn.off == ""
        return
    begin, *_, end, zero = numbers(drawn.off)[1:3] + numbers(drawn.off)[-2:]
    assert zero == 0
    at_top = end - numbers(drawn.off)[0]
    assert abs(at_top - TRUNK * left / total) < 0.002
    at_bottom = 100 - numbers(drawn.off)[6]
    assert abs(at_bottom - at_top) < 0.002
    assert begin >= 0


@given(COUNTS, COUNTS)
def test_a_picture_never_leaves_its_frame(train, evaluation):
    ribbon, width = fork(train, evaluation, train + evaluation)
    assert all(0 <= number <= 100 for number in numbers(ribbon.on + ribbon.off))
    assert 0 <= width <= TRUNK


@given(st.lists(COUNTS, max_size=9))
def test_the_longest_bar_fills_its_place_and_none_is_longer(counts):
    lengths = [bar.length for bar in bars(counts)]
    assert all(0 <= length <= 100 for length in lengths)
    assert max(lengths, default=100) in (100, 0)
    assert sorted(range(len(counts)), key=lambda i: (counts[i], i)) == sorted(
        range(len(counts)), key=lambda i: (lengths[i], counts[i], i)
    )


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_share_is_never_nothing_of_something_nor_all_of_less(part, more):
    assert share_text(part, part + more) not in ("0 %", "0.0 %", "100 %", "100.0 %")
    assert share_text(part, part) == "100 %"
