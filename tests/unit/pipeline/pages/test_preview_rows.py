"""Which rows a preview shows, and that its pieces say exactly what the tokens say."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.tiny_base import byte_tokenizer

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.pipeline.pages.preview_rows import LOST, chosen_rows, num_windows, pieces, preview_row, spread

TOKENIZER = byte_tokenizer()
SPECIAL = frozenset(TOKENIZER.all_special_ids)
START, END = TOKENIZER.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])


def decode(tokens):
    return TOKENIZER.decode(tokens, clean_up_tokenization_spaces=False)


def tokens_of(text):
    return TOKENIZER(text)["input_ids"]


def told(text, targets=None):
    tokens = tokens_of(text)
    return list(pieces(tokens, targets or [False] * len(tokens), decode, SPECIAL))


def test_the_bytes_of_a_chinese_character_and_of_an_emoji_are_one_piece_each():
    assert [(one.text, one.num_tokens) for one in told("a利😀。")] == [("a", 1), ("利", 3), ("😀", 4), ("。", 3)]


@given(st.text(max_size=30))
def test_the_pieces_together_are_the_text(text):
    assert "".join(one.text for one in told(text)) == text
    assert sum(one.num_tokens for one in told(text)) == len(tokens_of(text))


@given(st.text(st.sampled_from("ab利😀\ufffd"), max_size=20))
@example("\ufffd" * 5 + "利")
@example("\ufffd" * 5 + "😀" * 3)
def test_a_character_that_was_lost_before_takes_one_neighbour_at_most(text):
    assert "".join(one.text for one in told(text)) == text
    assert all(len(one.text.replace(LOST, "")) <= 1 for one in told(text))


@given(st.lists(st.integers(0, 255), max_size=60))
def test_bytes_that_are_no_text_lose_no_token(tokens):
    done = list(pieces(tokens, [False] * len(tokens), decode, SPECIAL))
    assert sum(one.num_tokens for one in done) == len(tokens)


@given(st.lists(st.tuples(st.sampled_from([*tokens_of("a利😀"), START, END]), st.booleans()), max_size=40))
def test_what_is_learned_and_what_is_not_never_share_a_piece(marked):
    tokens, targets = [token for token, _ in marked], [target for _, target in marked]
    done = [one for one in pieces(tokens, targets, decode, SPECIAL) for _ in range(one.num_tokens)]
    assert [one.is_target for one in done] == [target and i > 0 for i, target in enumerate(targets)]
    assert [one.is_special for one in done] == [token in SPECIAL for token in tokens]


def test_a_control_token_is_a_piece_of_its_own_between_half_characters():
    first, *_ = tokens_of("利")
    done = list(pieces([first, END, first], [False] * 3, decode, SPECIAL))
    assert [(one.text, one.is_special) for one in done] == [(LOST, False), ("<|im_end|>", True), (LOST, False)]


def test_a_tokenizer_that_writes_spaces_only_between_words_keeps_them():
    words = {1: "call", 2: "me", 3: "now"}

    def joined(tokens):
        return " ".join(words[token] for token in tokens)

    done = pieces([1, 2, 3], [False, True, True], joined, frozenset())
    assert [one.text for one in done] == ["call", " me", " now"]


def test_a_row_tells_where_it_is_from_and_how_much_is_learned():
    entry = Encoded((START, 65, END), (True, False, True), Origin("a.jsonl", 3), source=1, window=2)
    row = preview_row(entry, decode, SPECIAL, windows=4)
    assert (row.origin, row.source, row.window, row.num_windows) == ("a.jsonl line 3", 1, 2, 4)
    assert (row.num_tokens, row.num_targets) == (3, 1)
    assert [one.is_target for one in row.pieces] == [False, False, True]


@given(st.integers(0, 300), st.integers(1, 20))
def test_rows_are_spread_evenly(num_rows, num):
    rows = spread(num_rows, num)
    assert len(rows) == len(set(rows)) == min(num, num_rows)
    gaps = [b - a for a, b in pairwise(rows)]
    assert max(gaps, default=1) - min(gaps, default=1) <= 1
    if num > 1 and num_rows:
        assert (rows[0], rows[-1]) == (0, num_rows - 1)


@given(st.lists(st.integers(1, 4), max_size=40), st.integers(1, 12))
def test_a_record_with_several_windows_is_shown_when_there_is_one(records, num):
    windows = [window for count in records for window in range(count)]
    rows = chosen_rows(windows, num)
    assert rows == sorted(set(rows))
    assert len(rows) == min(num, len(windows))
    if max(records, default=1) > 1:
        assert any(windows[i] == 1 for i in rows)
        if num > 2:
            assert any(windows[i] == 0 and num_windows(windows, i) > 1 for i in rows)


@pytest.mark.parametrize(("i", "expected"), [(0, 1), (1, 3), (2, 3), (3, 3), (4, 1)])
def test_windows_of_a_record_are_counted_from_any_of_them(i, expected):
    assert num_windows([0, 0, 1, 2, 0], i) == expected
