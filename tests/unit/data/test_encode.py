"""Records to tokens: no target lost, what does not fit in windows, everything that cannot be used said in words."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support.tiny_base import CHATML, byte_tokenizer
from tokenizers import processors

from graftwork.base.template import ChatFormat
from graftwork.core.errors import Problem, SpecError
from graftwork.data.encode import Encoded, Encoding, Rows, Unusable
from graftwork.data.records import Origin, Record

DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe good.<|im_end|>\n{% endif %}" + CHATML
SYSTEM_IN_FIRST_TURN = (
    "{% set has_system = messages[0].role == 'system' %}{% for m in messages[has_system | int:] %}"
    "<|im_start|>{{ m.role }}\n{{ messages[0].content ~ '\n\n' if has_system and loop.first }}{{ m.content }}<|im_end|>"
    "\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ENOUGH = 1 << 20
HERE = Origin("x.jsonl", 1)


@dataclass(frozen=True)
class Written:
    tokens_T: list[int]
    is_target_T: list[bool]
    text: str
    offsets_T2: list[tuple[int, int]]


class Letters:
    """Writes a token a character; those of the assistant are targets. Refuses a tool's turn."""

    def marked(self, messages, *, learn, tools):
        if any(message["role"] == "tool" for message in messages):
            roles = [message["role"] for message in messages]
            problems = Problem("messages", roles, "no tool", "Leave it out."), Problem("role", "tool", "another")
            raise SpecError(problems)
        text = "".join(message["content"] for message in messages)
        is_target_T = [message["role"] == "assistant" for message in messages for _ in message["content"]]
        if not isinstance(learn, str):
            is_target_T = [learn[i] is not None for i, m in enumerate(messages) for _ in m["content"]]
        return Written([ord(char) for char in text], is_target_T, text, [(i, i + 1) for i in range(len(text))])

    def turn_starts(self, messages, text, tools):
        return [len(messages[0]["content"]) if messages[0]["role"] == "system" else 0]

    def turn_heads(self, messages, text, tools):
        return []

    def reads_back(self, tokens_T, text):
        return True


def record(line: int, *turns: tuple[str, str], **more) -> Record:
    return Record(tuple({"role": role, "content": content} for role, content in turns), Origin("x.jsonl", line), **more)


def asked(max_tokens, overlap=None, learn="answers"):
    return Encoding(learn=learn, max_tokens=max_tokens, overlap=overlap)


def chat(template=CHATML):
    tokenizer = byte_tokenizer(template or None)
    return ChatFormat(tokenizer, template, frozenset({tokenizer.eos_token_id}))


def learned(entries):
    return [t for e in entries for t, target in list(zip(e.tokens_T, e.is_target_T, strict=True))[1:] if target]


def test_a_record_becomes_tokens_with_its_targets_origin_and_source():
    rows = asked(3).of(record(3, ("user", "ab"), ("assistant", "c"), source=2), Letters())
    assert rows.entries == (Encoded((97, 98, 99), (False, False, True), Origin("x.jsonl", 3), 2, 0),)
    assert rows.num_targets == rows.entries[0].num_targets == 1
    assert rows.written.text == "abc"


def test_a_record_of_exactly_the_most_tokens_is_one_row():
    rows = asked(4, 1).of(record(1, ("user", "a"), ("assistant", "bcd")), Letters())
    assert [entry.tokens_T for entry in rows.entries] == [(97, 98, 99, 100)]


def test_a_record_that_is_too_long_is_unusable_where_none_is_cut():
    expected = "expected at most 3 tokens (data.max_tokens, or the base's context). Set data.windows to cut it."
    assert asked(3).of(record(1, ("user", "a"), ("assistant", "bcd")), Letters()) == Unusable(
        "too long", f"x.jsonl line 1 = '4 tokens': {expected}"
    )


def test_a_record_that_is_too_long_is_cut_where_that_is_asked():
    rows = asked(3, 1).of(record(1, ("user", "a"), ("assistant", "bcd"), source=1), Letters())
    assert rows.entries == (
        Encoded((97, 98, 99), (False, True, True), HERE, 1, 0),
        Encoded((98, 99, 100), (False, False, True), HERE, 1, 1),
    )
    assert rows.num_targets == 3


def test_a_record_with_nothing_to_learn_is_unusable():
    said = "x.jsonl line 1 = '': expected at least one token to learn. Its answer is empty."
    assert asked(9).of(record(1, ("user", "a"), ("assistant", "")), Letters()) == Unusable("no target", said)


def test_the_first_token_of_a_row_is_never_learned():
    assert Encoded((1, 2), (True, True), Origin("x", 1)).num_targets == 1
    assert asked(9).of(record(1, ("assistant", "a")), Letters()).reason == "no target"


def test_all_that_the_template_refuses_is_told_with_file_and_line():
    assert asked(9).of(record(4, ("tool", "a"), ("assistant", "b")), Letters()) == Unusable(
        "template",
        "x.jsonl line 4: messages = ['tool', 'assistant']: expected no tool. Leave it out.; "
        "x.jsonl line 4: role = 'tool': expected another",
    )


@pytest.mark.parametrize("learn", ["answers", "last", "all"])
def test_marks_that_would_be_ignored_make_a_record_unusable(learn):
    one = record(1, ("user", "a"), ("assistant", "b"), learn=(None, ((0, 1),)))
    said = "x.jsonl line 1: learn = 'marked parts': expected no marks of what is learned, or data.learn: marked"
    assert asked(9, learn=learn).of(one, Letters()) == Unusable("marks", said)


def test_of_marked_records_what_is_marked_is_learned():
    one = record(1, ("user", "a"), ("user", "bc"), ("assistant", "d"), learn=(None, ((0, 2),), None))
    (entry,) = asked(9, learn="marked").of(one, Letters()).entries
    assert entry.is_target_T == (False, True, True, False)


@pytest.mark.parametrize("writer", [Letters(), chat()], ids=["letters", "chat"])
def test_of_a_marked_record_without_marks_nothing_is_learned(writer):
    said = "x.jsonl line 1 = 'b': expected at least one token to learn. Nothing in it is marked."
    one = record(1, ("user", "a"), ("assistant", "b"))
    assert asked(99, learn="marked").of(one, writer) == Unusable("no target", said)


def test_of_a_marked_plain_text_without_marks_nothing_is_learned():
    assert asked(99, learn="marked").of(record(1, ("text", "b")), chat()).reason == "no target"


def test_a_system_turn_of_more_than_half_a_row_is_unusable():
    one = record(1, ("system", "s" * 6), ("user", "u"), ("assistant", "a" * 9))
    given = "6 tokens of system turn, 0 of a turn's beginning"
    expected = "expected at most half of 11 tokens (data.max_tokens, or the base's context)"
    said = f'x.jsonl line 1 = "{given}": {expected}. Every window begins with them.'
    assert asked(11, 1).of(one, Letters()) == Unusable("system turn", said)
    assert isinstance(asked(12, 1).of(one, Letters()), Rows)


SENTENCES = st.sampled_from(
    [
        "How are you? ",
        "The rate is 3.5 percent. ",
        "Fine!\n",
        "一万元。",
        "退款需要三个工作日，请稍候！",
        "对吗？ ",
        "yes",
    ]
)
SAID = st.lists(SENTENCES, min_size=1, max_size=9).map("".join)


@st.composite
def conversations(draw):
    pairs = draw(st.lists(st.tuples(SAID, SAID), min_size=1, max_size=5))
    turns = [turn for asking, answer in pairs for turn in (("user", asking), ("assistant", answer))]
    system = [("system", draw(st.sampled_from(["Be kind.", "你是客服。", "Answer in one word, politely."])))]
    return record(1, *(system if draw(st.booleans()) else []), *turns)


def cut(one, writer, max_tokens, overlap, learn):
    """The record in one row, and in windows."""
    whole = asked(ENOUGH, learn=learn).of(one, writer)
    rows = asked(max_tokens, overlap, learn).of(one, writer)
    assume(not (isinstance(rows, Unusable) and rows.reason == "system turn"))
    return whole, rows


TEMPLATES = pytest.mark.parametrize("template", [CHATML, DEFAULT_SYSTEM, SYSTEM_IN_FIRST_TURN])


@TEMPLATES
@pytest.mark.parametrize("learn", ["answers", "last", "all"])
@settings(deadline=None, max_examples=30)
@given(one=conversations(), max_tokens=st.integers(24, 160), overlap=st.integers(1, 60))
def test_windows_of_a_chat_learn_together_what_one_row_would(template, learn, one, max_tokens, overlap):
    whole, rows = cut(one, chat(template), max_tokens, overlap, learn)
    assert learned(rows.entries) == learned(whole.entries)
    assert rows.num_targets == whole.num_targets == sum(entry.num_targets for entry in rows.entries)
    assert all(len(entry.tokens_T) == len(entry.is_target_T) <= max_tokens for entry in rows.entries)
    assert [entry.window for entry in rows.entries] == list(range(len(rows.entries)))


@TEMPLATES
@settings(deadline=None, max_examples=30)
@given(one=conversations(), max_tokens=st.integers(24, 160), overlap=st.integers(1, 60))
def test_windows_of_a_chat_begin_with_its_system_turn_and_say_what_it_says(template, one, max_tokens, overlap):
    writer = chat(template)
    whole, rows = cut(one, writer, max_tokens, overlap, "answers")
    text = whole.written.text
    head = text[: writer.turn_starts(one.messages, text)[0]]
    assert ("Be good." in head) == (template == DEFAULT_SYSTEM and one.messages[0]["role"] != "system")
    assert (one.messages[0]["content"] in head) == (one.messages[0]["role"] == "system")
    for entry in rows.entries:
        said = writer.tokenizer.decode(entry.tokens_T)
        assert said.startswith(head)
        turn, stretch = re.fullmatch(r"(<\|im_start\|>\w+\n)?(.*)", said.removeprefix(head), re.DOTALL).groups()
        assert (turn or "") + stretch.strip("\ufffd") in text or stretch.strip("\ufffd") in text
        assert turn or template == SYSTEM_IN_FIRST_TURN  # whose turn it is always stands before what is said


@settings(deadline=None, max_examples=30)
@given(content=st.lists(SAID, min_size=1, max_size=4).map("\n".join), max_tokens=st.integers(2, 90))
def test_windows_of_a_plain_text_learn_all_of_it_and_its_end(content, max_tokens):
    writer = chat("")
    rows = asked(max_tokens, 8).of(record(1, ("text", content)), writer)
    said = writer.tokenizer.encode(content)[1:]
    assert learned(rows.entries) == [*said, writer.tokenizer.eos_token_id]


def test_windows_of_a_plain_text_begin_as_the_tokenizer_begins_texts():
    writer = chat("")
    begin = writer.tokenizer.convert_tokens_to_ids("<|im_start|>")
    beginning = processors.TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", begin)])
    writer.tokenizer.backend_tokenizer.post_processor = beginning
    rows = asked(20, 4).of(record(1, ("text", "nothing but letters " * 5)), writer)
    assert len(rows.entries) > 4
    assert {entry.tokens_T[0] for entry in rows.entries} == {begin}
    assert len(learned(rows.entries)) == 101


def test_a_long_chat_is_cut_between_sentences():
    answer = "Sentence number one is here. " * 20
    one = record(1, ("system", "Be kind."), ("user", "Tell me."), ("assistant", answer))
    rows = asked(160, 40).of(one, chat())
    texts = [chat().tokenizer.decode(entry.tokens_T) for entry in rows.entries]
    assert len(texts) > 3
    assert all(text.endswith("here. ") for text in texts[:-1])
    assert all(
        text.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>assistant\nSentence") for text in texts[1:]
    )


def test_every_answer_of_a_long_chat_is_seen_with_its_question():
    turns = [turn for i in range(9) for turn in (("user", f"Question {i}?"), ("assistant", f"Answer {i}. " * 4))]
    rows = asked(190, 10).of(record(1, ("system", "Be kind."), *turns), chat())
    assert len(rows.entries) > 3
    for entry in rows.entries:
        text = chat().tokenizer.decode(entry.tokens_T)
        begin = chat().tokenizer.decode(learned([entry])[:9])
        assert text.index(f"Question {begin.split('.')[0][-1]}?") < text.index(begin)


def test_tools_before_the_first_turn_are_not_said_again_in_every_window():
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"
        "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}" + CHATML
    )
    tool = {"type": "function", "function": {"name": "f", "description": "x" * 200, "parameters": {}}}
    one = record(1, ("user", "hello"), ("assistant", "yes. " * 60), tools=(tool,))
    assert isinstance(asked(200, 20).of(one, chat(template)), Rows)
