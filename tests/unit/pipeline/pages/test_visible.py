"""Text from outside: what nobody would see is marked, and nothing else changes."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.pipeline.pages.visible import UNSEEN, differences, visible, with_white_space

TEXTS = st.text(st.sampled_from("ab \n\t中😀\u200d\u202e\u200b\x1b\x00<&"), max_size=40)


def test_what_turns_text_around_and_what_a_terminal_obeys_is_marked():
    assert list(visible("\x1b[31m")) == [("U+001B", True), ("[31m", False)]
    assert [mark for mark, is_mark in visible("a\u202eb\u2066c\ufeffd\x00e\ud800f") if is_mark] == [
        "U+202E",
        "U+2066",
        "U+FEFF",
        "U+0000",
        "U+D800",
    ]


def test_emoji_tabs_and_line_breaks_stay_as_they_are():
    text = "👨‍👩‍👧 مرحبا\n\tनमस्ते"
    assert list(visible(text)) == [(text, False)]


@given(TEXTS)
def test_the_parts_are_the_text_and_no_part_holds_what_is_not_seen(text):
    parts = list(visible(text))
    assert "".join(chr(int(part[2:], 16)) if is_mark else part for part, is_mark in parts) == text
    assert not any(UNSEEN.search(part) for part, is_mark in parts if not is_mark)


@given(TEXTS, TEXTS)
def test_differences_lose_no_character_of_either_text(before, after):
    one, other = differences(before, after)
    assert ("".join(part for part, _ in one), "".join(part for part, _ in other)) == (before, after)


@given(TEXTS)
def test_equal_texts_have_no_difference(text):
    assert not any(changed for part in differences(text, text) for _, changed in part)


def test_one_letter_between_two_changes_is_not_shown_as_equal():
    one, _ = differences("abcdexfghij", "abcd12x34ghij")
    assert one == [("abcd", False), ("exf", True), ("ghij", False)]


def test_white_space_gets_a_sign():
    assert with_white_space("a b\u3000c\n") == "a·b□c↵\n"
