"""Borders of what is learned, and of windows, with a real tokenizer that joins spaces to words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.base.bundled import BUNDLED, READY, cache_folder
from graftwork.base.load import load_chat
from graftwork.base.template import ChatFormat
from graftwork.core.errors import SpecError
from graftwork.data.encode import Encoding, Unusable
from graftwork.data.records import Origin, Record

NAME = "smollm2-135m-instruct"
PIECES = [
    "a",
    " a",
    "the",
    " The",
    "\n",
    "\n\n",
    "  ",
    "\t",
    ".",
    "...",
    "!",
    "é",
    "中文",
    "。",
    "12",
    " 3",
    "ing",
    "'s",
    "<|",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=12).map("".join).filter(bool)


class Thorough(ChatFormat):
    """Tokenises everything before a border, always."""

    def _refuse_a_token_across(self, text, begin, tokens_T, offsets, *, is_plain):
        before_T = self.tokenizer(text[:begin], add_special_tokens=is_plain)["input_ids"]
        if tokens_T[: len(before_T)] != before_T:
            self._refuse_border(text[begin:])


@pytest.fixture(scope="module")
def base_chat():
    folder = cache_folder() / "bases" / f"{NAME}-{BUNDLED[NAME].member_sha256[:12]}"
    if not (folder / READY).is_file():
        pytest.skip("the bundled base is not in the cache folder")
    return load_chat(folder)


def marked(format_, messages, learn):
    try:
        return format_.marked(messages, learn=learn)
    except SpecError:
        return None


@settings(deadline=None, max_examples=300)
@given(st.data(), st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_what_the_short_look_at_a_border_takes_the_long_look_takes_too(base_chat, data, pairs):
    messages = [
        {"role": role, "content": content}
        for pair in pairs
        for role, content in zip(("user", "assistant"), pair, strict=True)
    ]
    marks = []
    for message in messages:
        begin = data.draw(st.integers(0, len(message["content"]) - 1))
        end = data.draw(st.integers(begin + 1, len(message["content"])))
        marks.append(((begin, end),) if message["role"] == "assistant" else None)
    thorough = Thorough(base_chat.tokenizer, base_chat.template, base_chat.stop_ids)
    for learn in ("answers", marks):
        assert marked(base_chat, messages, learn) == marked(thorough, messages, learn)


@settings(deadline=None, max_examples=60)
@given(*[st.lists(st.sampled_from([*PIECES, "😀", " .", " n't"]), max_size=12).map("".join)] * 2)
def test_any_text_of_usual_characters_reads_back(base_chat, asking, answer):
    messages = [{"role": "user", "content": asking}, {"role": "assistant", "content": answer}]
    done = base_chat.marked(messages, learn="all")
    assert base_chat.reads_back(done.tokens_T, done.text)


def test_a_character_that_the_tokenizer_passes_over_in_silence_does_not_read_back(base_chat):
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "a\U00040000b"}]
    done = base_chat.marked(messages)
    assert not base_chat.reads_back(done.tokens_T, done.text)


def long_record(sentence, num=60):
    turns = [("user", "Tell me everything."), ("assistant", sentence * num)]
    return Record(tuple({"role": role, "content": content} for role, content in turns), Origin("x.jsonl", 1))


def windows_of(base_chat, record, max_tokens=120, overlap=30):
    whole = Encoding(max_tokens=1 << 20, overlap=None).of(record, base_chat)
    rows = Encoding(max_tokens=max_tokens, overlap=overlap).of(record, base_chat)
    assert not isinstance(rows, Unusable)
    told = [t for e in rows.entries for t, target in zip(e.tokens_T[1:], e.is_target_T[1:], strict=True) if target]
    (entry,) = whole.entries
    assert told == [t for t, target in zip(entry.tokens_T, entry.is_target_T, strict=True) if target]
    return [base_chat.tokenizer.decode(entry.tokens_T) for entry in rows.entries]


@pytest.mark.parametrize(
    "sentence",
    [
        "退款需要三个工作日。",
        "每笔交易都要核对！",
        pytest.param("The rate is three percent. "),
        "请稍候。 ",
    ],
)
def test_windows_of_a_long_answer_end_with_a_sentence(base_chat, sentence):
    texts = windows_of(base_chat, long_record(sentence))
    assert len(texts) > 3
    for text in texts[:-1]:
        assert text.rstrip().endswith(sentence.strip())
    for text in texts:
        assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant")
