"""Long texts in windows: every target learned exactly once, none without something before it."""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.windows import Borders, Window, windows


@dataclass(frozen=True)
class Case:
    """What `windows` is asked."""

    is_target_T: list[bool]
    borders: Borders
    max_tokens: int
    overlap: int

    @property
    def made(self):
        return windows(self.is_target_T, self.borders, max_tokens=self.max_tokens, overlap=self.overlap)

    def learned(self, window):
        return [i for i in range(window.learned_from, window.end) if self.is_target_T[i]]


@st.composite
def cases(draw):
    is_target_T = draw(st.lists(st.booleans(), max_size=90) | st.integers(0, 90).map(lambda n: [True] * n))
    places = st.sets(st.integers(0, len(is_target_T)), max_size=12).map(sorted)
    max_tokens = draw(st.integers(2, 40))
    head = draw(st.integers(0, max_tokens // 2))
    turns = [place for place in draw(places) if place > head]
    borders = Borders(head, turns, draw(places))
    return Case(is_target_T, borders, max_tokens, draw(st.integers(1, 45)))


@given(cases())
def test_every_target_but_the_first_token_is_learned_by_exactly_one_window(case):
    learned = [i for window in case.made for i in case.learned(window)]
    assert learned == [i for i, target in enumerate(case.is_target_T) if target and i]


@given(cases())
def test_no_window_is_longer_than_a_row(case):
    assert all(2 <= window.num_tokens <= case.max_tokens for window in case.made)


@given(cases())
def test_a_learned_token_always_has_something_before_it(case):
    for window in case.made:
        assert window.start <= window.learned_from < window.end <= len(case.is_target_T)
        assert window.head + window.learned_from - window.start >= 1


@given(cases())
def test_the_head_begins_every_window_exactly_once(case):
    for window in case.made:
        if window.head:
            assert window.head == case.borders.head < window.start
        else:
            assert window.start == 0 or not case.borders.head


@given(cases())
def test_every_window_learns_something_and_ends_with_it(case):
    for window in case.made:
        assert case.is_target_T[window.learned_from]
        assert case.is_target_T[window.end - 1]


@given(cases())
def test_a_text_that_fits_is_one_window_from_its_beginning(case):
    whole = Case(case.is_target_T, case.borders, max(2, len(case.is_target_T), 2 * case.borders.head), case.overlap)
    targets = [i for i, target in enumerate(case.is_target_T) if target and i]
    expected = [Window(0, 0, targets[0], targets[-1] + 1)] if targets else []
    assert whole.made == expected


@given(cases())
def test_an_answer_stands_with_its_question_when_that_fits_into_half_a_window(case):
    room = case.max_tokens - case.borders.head
    targets = [i for i, target in enumerate(case.is_target_T) if target and i]
    for window in case.made:
        own = max((turn for turn in case.borders.turns if turn <= window.learned_from), default=0)
        begins = not any(own <= i < window.learned_from for i in targets)
        if begins and window.learned_from - own <= min(room // 2, room - 1):
            assert window.start <= own


@given(st.integers(1, 200), st.integers(0, 9), st.integers(18, 60), st.integers(1, 12))
def test_without_borders_windows_are_full_and_share_as_many_tokens_as_asked(num, head, max_tokens, overlap):
    made = windows([True] * num, Borders(head), max_tokens=max_tokens, overlap=overlap)
    overlap = min(overlap, max_tokens - head - 1)
    for before, window in itertools.pairwise(made):
        assert window.learned_from == before.end
        assert before.num_tokens == max_tokens
    for window in made[1:-1]:
        assert window.learned_from - window.start == overlap
    for window in made[-1:]:
        assert window.num_tokens == min(num, max_tokens) if num > 1 else window.num_tokens == num


@st.composite
def sentences(draw):
    """Starts of sentences of at most `longest` tokens, and their end."""
    longest = draw(st.integers(1, 9))
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=60))
    return longest, [sum(lengths[:i]) for i in range(1, len(lengths))], sum(lengths)


@given(sentences(), st.integers(0, 9), st.integers(0, 5))
def test_windows_begin_and_end_with_sentences_where_these_are_short_enough(case, more, head):
    longest, starts, num = case
    overlap = longest + more
    made = windows(
        [True] * num, Borders(head, (), starts), max_tokens=overlap + 2 * longest + 2 + 2 * head, overlap=overlap
    )
    for window in made:
        assert window.end in starts or window.end == num
        assert window.start in starts or window.start == 0


def test_a_window_ends_where_a_turn_begins_rather_than_a_sentence():
    made = windows([True] * 30, Borders(0, [7], [9, 18]), max_tokens=10, overlap=1)
    assert made[0] == Window(0, 0, 1, 7)


def test_a_border_that_leaves_a_window_less_than_half_full_is_not_taken():
    made = windows([True] * 30, Borders(0, [3], [4]), max_tokens=10, overlap=1)
    assert made[0].end == 10


def test_room_that_is_left_is_filled_with_what_stands_before():
    is_target_T = [False] * 40 + [True] * 2
    assert windows(is_target_T, Borders(4), max_tokens=12, overlap=2) == [Window(4, 34, 40, 42)]


def test_what_fills_a_window_begins_at_a_turn_or_a_sentence_if_there_is_one():
    is_target_T = [False] * 40 + [True] * 2
    with_turn = Borders(4, [36, 37], [35])
    assert windows(is_target_T, with_turn, max_tokens=12, overlap=2) == [Window(4, 36, 40, 42)]
    with_sentence = Borders(4, [20], [35])
    assert windows(is_target_T, with_sentence, max_tokens=12, overlap=2) == [Window(4, 35, 40, 42)]


def test_a_stretch_without_targets_is_in_no_window():
    is_target_T = [False, True, *[False] * 50, True]
    assert [(w.start, w.end) for w in windows(is_target_T, Borders(), max_tokens=5, overlap=1)] == [(0, 2), (48, 53)]


def test_a_question_longer_than_the_overlap_is_kept_whole():
    is_target_T = [False] * 30 + [True] * 30
    (first, *_) = windows(is_target_T, Borders(0, [20], []), max_tokens=24, overlap=3)
    assert (first.start, first.learned_from) == (20, 30)
