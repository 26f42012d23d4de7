"""What becomes of a text and of the marks in it."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.edits import Edit, edited, moved

REPLACEMENTS = st.text("xyz[]", max_size=4)


@st.composite
def texts_and_edits(draw):
    """A text, and edits of it in order and apart, none of which only inserts."""
    text = draw(st.text("abc中。 ", min_size=1, max_size=24))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return text, [Edit(begin, end, draw(REPLACEMENTS)) for begin, end in pairs]


@st.composite
def texts_edits_and_spans(draw):
    text, edits = draw(texts_and_edits())
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    return text, edits, tuple(zip(cuts[::2], cuts[1::2], strict=False))


def by_characters(text, edits, span):
    """The edited text as (character, is in the span), found character by character."""
    begin, end = span
    told, at = [], 0
    for edit in [*edits, Edit(len(text), len(text), "")]:
        told += [(text[i], begin <= i < end) for i in range(at, edit.start)]
        touched = any(begin <= i < end for i in range(edit.start, edit.end))
        told += [(char, touched) for char in edit.replacement]
        at = edit.end
    return told


@given(texts_edits_and_spans())
def test_a_span_holds_its_characters_and_whole_replacements_of_what_it_touches(case):
    text, edits, spans = case
    after = edited(text, edits)
    taken = 0  # a replacement that two spans touch belongs to the first
    for span, (begin, end) in zip(spans, moved(spans, edits), strict=True):
        expected = by_characters(text, edits, span)
        assert after == "".join(char for char, _ in expected)
        assert 0 <= begin <= end <= len(after)
        held = [inside and i >= taken for i, (_, inside) in enumerate(expected)]
        assert [begin <= i < end for i in range(len(after))] == held
        taken = max(taken, end)


@given(texts_and_edits())
def test_an_edit_changes_what_it_names_and_nothing_else(case):
    text, edits = case
    expected = text
    for edit in reversed(edits):
        expected = expected[: edit.start] + edit.replacement + expected[edit.end :]
    assert edited(text, edits) == expected


@given(st.text(max_size=20))
def test_no_edits_change_nothing(text):
    spans = ((0, len(text)),)
    assert edited(text, []) == text
    assert moved(spans, []) == spans


def test_an_insertion_belongs_to_the_span_that_begins_there_and_not_to_the_one_that_ends_there():
    assert moved(((0, 3), (3, 6)), [Edit(3, 3, "__")]) == ((0, 3), (3, 8))


def test_a_span_of_what_is_deleted_is_left_empty_where_it_was():
    assert moved(((2, 4), (6, 8)), [Edit(1, 5, "")]) == ((1, 1), (2, 4))


def test_two_spans_that_cut_the_same_edit_stay_apart():
    (_, end), (begin, _) = moved(((0, 6), (7, 17)), [Edit(5, 13, "[PHONE]")])
    assert end <= begin
