"""Sensitive words are found however they are written, and not where they only seem to stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.data.lexicons.folding import folded, readings
from graftwork.data.lexicons.lexicon import SHIPPED, Lexicon, Listed, read_list, shipped

LEXICON = Lexicon([Listed("blister", "en"), Listed("you fool", "en"), Listed("坏蛋", "zh"), Listed("骗钱公司", "zh")])


def found(text):
    return {one.word for one in LEXICON.found(text)}


@pytest.mark.parametrize(
    "text",
    [
        "what a blister!",
        "BLISTER",
        "ｂｌｉｓｔｅｒ",
        "b\u200bli\u200cs\u2060ter",
        "bl\u0456ster",  # a Cyrillic i
        "b l i s t e r",
        "b.l.i.s.t.e.r",
        "bli-ster",
        "b1i5t3r",
        "b!i$ter",
        "blísteŕ",
        "b\u0336l\u0336i\u0336s\u0336t\u0336e\u0336r",
        "bliiiister",
        "so b-l-i-s-t-e-r, then",
    ],
)
def test_an_english_word_is_found_however_it_is_written(text):
    assert found(text) == {"blister"}


@pytest.mark.parametrize("text", ["blisters", "ablister", "bli ster", "b l i s t", "1915 74", "", "坏。蛋", "坏\n蛋"])
def test_what_only_seems_to_be_one_is_not_found(text):
    assert found(text) == set()


@pytest.mark.parametrize("text", ["你这个坏蛋", "壞蛋", "坏*蛋", "坏 蛋", "坏·蛋啊", "坏\u200b蛋", "坏—蛋"])
def test_a_chinese_word_is_found_however_it_is_written(text):
    assert found(text) == {"坏蛋"}


def test_traditional_characters_are_read_as_simplified_ones():
    assert found("騙錢公司") == {"骗钱公司"}
    assert folded("繁體與簡體，發展") == "繁体与简体，发展"


def test_a_phrase_of_several_words_is_found_whole():
    assert found("You fool.") == {"you fool"}
    assert found("you foolish man") == set()


@given(st.text(max_size=60))
def test_any_text_can_be_read_and_folding_twice_changes_nothing_of_plain_ones(text):
    LEXICON.found(text)
    if text.isascii():
        assert folded(folded(text)) == folded(text)
    assert readings(text).whole


@given(st.sampled_from(["坏蛋", "骗钱公司"]), st.text(alphabet="天地人和平安，。", max_size=8), st.data())
def test_a_word_is_found_wherever_it_stands_in_a_chinese_text(word, around, data):
    at = data.draw(st.integers(0, len(around)))
    assert word in found(around[:at] + word + around[at:])


def test_every_shipped_word_is_found_in_a_sentence_and_harmless_sentences_have_none():
    lexicon = Lexicon(shipped(SHIPPED))
    for listed in shipped(SHIPPED):
        assert listed in lexicon.found(f"... {listed.word}!")
    for text in (
        "Scunthorpe United beat Arsenal; the classic cockpit assessment was passed by the analyst.",
        "Dick Van Dyke had coffee with his niece in Essex. The shuttle bus hit a spice stand.",
        "他们的妈妈在家里等他，公司今天代开会议室，请开发票时注明税号。",
        "The retardation of growth was measured. It was a shared assignment.",
        "1 2 3 4 5; a b c d e; x-ray, e-mail, so-so",
    ):
        assert lexicon.found(text) == frozenset()


def test_a_list_of_ones_own_has_headings_and_remarks(tmp_path):
    path = tmp_path / "bank.txt"
    path.write_text("# ours\ninsider tip\n[scams]\n保本高息\n\n", "utf-8")
    assert read_list(str(path)) == [Listed("insider tip", "bank"), Listed("保本高息", "scams")]


def test_a_list_that_is_none_is_refused_in_words(tmp_path):
    with pytest.raises(NotFoundError, match="No such file"):
        read_list(str(tmp_path / "none.txt"))
    binary, short, empty = tmp_path / "b.txt", tmp_path / "s.txt", tmp_path / "e.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    short.write_text("fine word\nx\n坏\n", "utf-8")
    empty.write_text("# nothing\n", "utf-8")
    with pytest.raises(SpecError, match="a text file in UTF-8"):
        read_list(str(binary))
    with pytest.raises(SpecError) as refused:
        read_list(str(short))
    assert [problem.value for problem in refused.value.problems] == ["x", "坏"]
    with pytest.raises(SpecError, match="The file holds none"):
        read_list(str(empty))
