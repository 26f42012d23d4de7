"""Records to tokens: none cut, none left out, everything that does not fit named at once."""

from collections.abc import Mapping, Sequence

import pytest

from graftwork.core.errors import Problem, SpecError
from graftwork.data.encode import Encoded, encode
from graftwork.data.records import Origin, Record


def render(messages: Sequence[Mapping[str, str]]) -> tuple[list[int], list[bool]]:
    """A token a character; those of the assistant are targets. Refuses a tool's turn."""
    if any(message["role"] == "tool" for message in messages):
        roles = [message["role"] for message in messages]
        raise SpecError([Problem("messages", roles, "no tool", "Leave it out."), Problem("role", "tool", "another")])
    tokens_T = [ord(char) for message in messages for char in message["content"]]
    return tokens_T, [message["role"] == "assistant" for message in messages for _ in message["content"]]


def record(line: int, *turns: tuple[str, str]) -> Record:
    return Record(tuple({"role": role, "content": content} for role, content in turns), Origin("x.jsonl", line))


def refused(*records: Record, max_tokens: int) -> list[str]:
    with pytest.raises(SpecError) as caught:
        encode(records, render, max_tokens=max_tokens)
    return str(caught.value).splitlines()


def test_a_record_becomes_tokens_with_its_targets_and_origin():
    (one,) = encode([record(3, ("user", "ab"), ("assistant", "c"))], render, max_tokens=3)
    assert one == Encoded((97, 98, 99), (False, False, True), Origin("x.jsonl", 3))
    assert one.num_targets == 1


def test_records_keep_their_order_and_number():
    given = [record(i, ("user", "a"), ("assistant", "b" * i)) for i in (3, 1, 2)]
    assert [one.origin.line for one in encode(given, render, max_tokens=9)] == [3, 1, 2]


def test_a_record_of_exactly_the_most_tokens_fits():
    assert len(encode([record(1, ("user", "a"), ("assistant", "bcd"))], render, max_tokens=4)) == 1


def test_a_record_that_is_too_long_is_refused_and_not_cut():
    said = refused(record(1, ("user", "a"), ("assistant", "bcd")), max_tokens=3)
    expected = "expected at most 3 tokens (data.max_tokens, or the base's context). Nothing is cut."
    assert said == [f"x.jsonl line 1 = '4 tokens': {expected}"]


def test_a_record_with_nothing_to_learn_is_refused():
    said = refused(record(1, ("user", "a"), ("assistant", "")), max_tokens=9)
    assert said == ["x.jsonl line 1 = '': expected at least one token to learn. Its answer is empty."]


def test_the_first_token_of_a_row_is_never_learned():
    assert Encoded((1, 2), (True, True), Origin("x", 1)).num_targets == 1
    assert len(refused(record(1, ("assistant", "a")), max_tokens=9)) == 1


def test_all_that_the_template_refuses_is_named_by_file_and_line():
    assert refused(record(4, ("tool", "a"), ("assistant", "b")), max_tokens=9) == [
        "x.jsonl line 4: messages = ['tool', 'assistant']: expected no tool. Leave it out.",
        "x.jsonl line 4: role = 'tool': expected another",
    ]


def test_every_record_that_cannot_be_used_is_named_at_once():
    wrong = [
        record(1, ("user", "a"), ("assistant", "")),
        record(2, ("user", "a"), ("assistant", "b")),
        record(3, ("user", "a"), ("assistant", "bcdefg")),
        record(4, ("tool", "a"), ("assistant", "b")),
    ]
    said = refused(*wrong, max_tokens=4)
    assert [line.split(" = ")[0] for line in said] == [
        "x.jsonl line 1",
        "x.jsonl line 3",
        "x.jsonl line 4: messages",
        "x.jsonl line 4: role",
    ]
