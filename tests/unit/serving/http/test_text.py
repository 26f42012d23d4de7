"""Tokens to text: characters whole, stop strings never begun, filters in their order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiny_base import byte_tokenizer
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from graftwork.serving.asked import Said
from graftwork.serving.http.text.characters import Characters, TokenTexts
from graftwork.serving.http.text.stops import StopStrings
from graftwork.serving.http.text.telling import Telling

TOKENIZER = byte_tokenizer()
TEXTS = TokenTexts(TOKENIZER)
WORDS = st.text(alphabet=st.sampled_from("ab你好👩‍👩‍👧é \n"), max_size=12)


def ids(text):
    """Tokens of a text, one a byte."""
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def told(tokens):
    """What is told after each token, and at the end."""
    characters = Characters(TEXTS.decode)
    return [*(characters.push(token) for token in tokens), characters.rest()]


@given(WORDS)
def test_characters_come_whole_and_none_is_lost(text):
    pieces = told(ids(text))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 258), max_size=120))
def test_whatever_a_model_says_comes_as_its_tokenizer_writes_it(tokens):
    assert "".join(told(tokens)) == TEXTS.decode(tokens)


def test_pieces_of_sentencepiece_keep_their_spaces_and_bytes():
    pieces = ["▁the", "▁cat", "<0xE4>", "<0xBD>", "<0xA0>", "<0xE5>", "<0xA5>", "s", "<s>"]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(["<s>"])
    texts = TokenTexts(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    said = Characters(texts.decode)
    assert [said.push(token) for token in (8, 0, 1, 7, 2, 3, 4, 5, 6, 3, 1)] == [
        *("", "the", " cat", "s"),
        *("", "", "你", "", "", "好", " cat"),
    ]
    assert texts.bytes_of(2) == b"\xe4"
    assert texts.label(1) == " cat"


def test_a_token_has_its_bytes_and_a_label():
    (first, *_) = ids("你")
    assert TEXTS.bytes_of(first) == b"\xe4"
    assert TEXTS.label(first) == "bytes:\\xe4"
    assert TEXTS.label(256) == "<|im_start|>"
    assert TEXTS.bytes_of(10_000) == b""


def by_character(text, stops):
    """What comes before the first stop string that is complete, looked for after each character."""
    for end in range(1, len(text) + 1):
        ended = [stop for stop in stops if text[:end].endswith(stop)]
        if ended:
            return text[: end - max(map(len, ended))], True
    return text, False


@settings(max_examples=300)
@given(st.data())
def test_stop_strings_end_the_same_text_however_it_is_cut(data):
    alphabet = st.text(alphabet="ab你", min_size=1, max_size=4)
    stops = data.draw(st.lists(alphabet, max_size=4))
    pieces = data.draw(st.lists(st.text(alphabet="ab你", max_size=5), max_size=8))
    one = StopStrings(stops)
    out = ""
    for piece in pieces:
        out += one.push(piece)
        assert by_character("".join(pieces), stops)[0].startswith(out)
    out += one.rest()
    assert (out, one.is_hit) == by_character("".join(pieces), stops)


class Shout:
    """Makes text loud, holds back what may become a word, ends at it."""

    def __init__(self, word=None):
        self.word, self.held, self.is_blocked = word, "", False

    def push(self, text):
        """As TextFilter's."""
        if self.is_blocked:
            return ""
        self.held += text.upper()
        if self.word and self.word in self.held:
            before, self.held, self.is_blocked = self.held.partition(self.word)[0], "", True
            return before
        kept = len(self.word or "  ") - 1
        out, self.held = self.held[:-kept], self.held[-kept:]
        return out

    def close(self):
        """As TextFilter's."""
        out, self.held = self.held, ""
        return out


class Double(Shout):
    """Says everything twice."""

    def push(self, text):
        """As TextFilter's."""
        return text * 2


def whole(telling, text, *, is_cut=False):
    """All that is told of a text."""
    pieces = []
    for token in ids(text):
        pieces.append(telling.push(Said(token)))
        if telling.end:
            break
    pieces.append(telling.close(is_cut=is_cut))
    return "".join(piece.text for piece in pieces), [one for piece in pieces for one in piece.tokens]


def test_filters_see_what_those_before_them_let_through():
    assert whole(Telling(TEXTS, (), [Shout(), Double()]), "abc")[0] == "AABBCC"


def test_a_filter_that_blocks_ends_the_answer():
    telling = Telling(TEXTS, (), [Shout("BAD")])
    assert whole(telling, "so bad it is")[0] == "SO "
    assert telling.end == "content_filter"


def test_filters_see_no_text_from_a_stop_string_on():
    telling = Telling(TEXTS, ("bad",), [Shout("BAD")])
    assert whole(telling, "so bad it is")[0] == "SO "
    assert telling.end == "stop"


def test_tokens_go_with_their_text_and_stop_with_it():
    text, tokens = whole(Telling(TEXTS, ("END",), ()), "你 ENDING")
    assert text == "你 "
    assert [token.begin for token in tokens] == [0, 0, 0, 1]
    assert [token.said.token for token in tokens] == ids("你 ")


@pytest.mark.parametrize(("is_cut", "expected"), [(True, "a"), (False, "a\ufffd")])
def test_half_a_character_at_the_end_is_left_out_of_a_cut_answer_alone(is_cut, expected):
    telling = Telling(TEXTS, (), ())
    pieces = [telling.push(Said(token)) for token in ids("a你")[:-1]]
    last = telling.close(is_cut=is_cut)
    assert "".join(piece.text for piece in pieces) + last.text == expected
    assert len(last.tokens) == 2


def test_a_stop_string_in_what_was_held_to_the_end():
    telling = Telling(TEXTS, ("\ufffd",), ())
    telling.push(Said(ids("你")[0]))
    assert telling.close(is_cut=False).text == ""
