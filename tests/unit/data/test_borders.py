"""Where a text may be cut well."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.borders import sentence_starts, token_indices


def sentences(text):
    cuts = [0, *sentence_starts(text), len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(cuts)]


@pytest.mark.parametrize(
    "parts",
    [
        ["One. ", "Two! ", "Three? ", "Four."],
        ["It costs 3.5 dollars a day, e.g. for a car. ", "Fine."],
        ['He said "Stop." ', '"Why?" ', "Nobody knew."],
        ["(See above.) ", "(Or below.)"],
        ["好的。", "谢谢！", "真的吗？", "是；", "当然"],
        ["他说：“不行。”", "然后走了。"],
        ["中文。 ", "Then English. ", "Again."],
        ["Then English. ", "再见。", "好"],
        ["Voilà. ", "Élodie arrive. ", "¿Qué? ", "Да."],
        ["a line\n", "another\n\n  ", "a paragraph"],
        ["An end.\n", "small letters after a line"],
        ["no end here"],
    ],
    ids=lambda parts: parts[0],
)
def test_sentences_lines_and_paragraphs_are_told_apart(parts):
    assert sentences("".join(parts)) == parts


@given(st.text("ab A1.!?。！\n \"'”)…", max_size=60))
def test_a_text_is_its_sentences_end_to_end_and_none_is_empty(text):
    cuts = sentence_starts(text)
    assert cuts == sorted(set(cuts))
    assert all(0 < cut < len(text) for cut in cuts)


@pytest.mark.parametrize(
    "piece",
    ["." * 9, "!?", ". ", " ", "\n ", "。", ".)", ".\n", "…”"],
)
def test_a_run_of_the_same_takes_twice_as_long_when_it_is_twice_as_long(piece):
    def seconds(num_characters):
        begin = time.perf_counter()
        sentence_starts("a." + piece * (num_characters // len(piece)) + "x")
        return time.perf_counter() - begin

    assert min(seconds(8_000) for _ in range(3)) < 8 * max(min(seconds(2_000) for _ in range(3)), 1e-3)


def test_characters_become_the_tokens_that_begin_there_or_next():
    offsets = [(0, 0), (0, 2), (2, 5), (5, 5), (6, 8)]
    assert token_indices([0, 2, 3, 6, 7], "x" * 9, offsets) == [0, 2, 3, 4, 5]
    assert token_indices([6, 2, 2], "x" * 9, offsets) == [2, 4]


def test_a_character_of_several_tokens_is_its_first():
    assert token_indices([0, 1], "ab", [(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)]) == [0, 3]


def test_a_token_that_takes_the_space_before_a_sentence_begins_it():
    text = "It is. Take two."
    offsets = [(0, 2), (2, 5), (5, 6), (6, 11), (11, 15), (15, 16)]  # " Take", as most tokenizers cut
    assert token_indices(sentence_starts(text), text, offsets) == [3]
