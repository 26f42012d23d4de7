"""Layouts: rows of every kind to conversations, and every row that is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.data.layouts import LAYOUTS, recognised
from graftwork.data.sources import read_records

USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "a"}


def turns(tmp_path: Path, row: dict[str, Any], *, layout: str | None = None, system: str | None = None) -> list[Any]:
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    (record,) = read_records(tmp_path / "x.jsonl", layout=layout, system=system)
    return [(turn["role"], turn["content"]) for turn in record.messages]


def refused(tmp_path: Path, row: dict[str, Any], *, layout: str | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        turns(tmp_path, row, layout=layout)
    return str(caught.value).replace(f"{tmp_path}/", "").removeprefix("x.jsonl line 1: ")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("chat", {"messages": [USER, ANSWER]}),
        ("alpaca", {"instruction": "u", "output": "a"}),
        ("alpaca", {"instruction": "u", "input": "", "output": "a"}),
        ("prompt_completion", {"prompt": "u", "completion": "a"}),
        ("question_answer", {"question": "u", "answer": "a", "id": 7}),
    ],
)
def test_a_layout_is_seen_from_its_keys(tmp_path: Path, name: str, row: dict[str, Any]):
    assert recognised(list(row), "x") == name
    assert turns(tmp_path, row) == turns(tmp_path, row, layout=name) == [("user", "u"), ("assistant", "a")]


def test_an_alpaca_input_follows_its_instruction(tmp_path: Path):
    row = {"instruction": "Add.", "input": "1 2", "output": "3"}
    assert turns(tmp_path, row) == [("user", "Add.\n\n1 2"), ("assistant", "3")]


@pytest.mark.parametrize("asked", [("instruction", "output"), ("prompt", "completion"), ("question", "answer")])
def test_a_row_of_its_own_may_bring_a_system_message(tmp_path: Path, asked: tuple[str, str]):
    row = {asked[0]: "u", asked[1]: "a", "system": "s"}
    assert turns(tmp_path, row, system="other") == [("system", "s"), ("user", "u"), ("assistant", "a")]


@pytest.mark.parametrize("row", [{"messages": [USER, ANSWER]}, {"prompt": "u", "completion": "a", "system": None}])
def test_a_system_message_from_the_recipe_goes_to_records_that_have_none(tmp_path: Path, row: dict[str, Any]):
    assert turns(tmp_path, row, system="s") == [("system", "s"), ("user", "u"), ("assistant", "a")]


def test_a_chat_keeps_its_own_system_message(tmp_path: Path):
    row = {"messages": [{"role": "system", "content": "own"}, USER, ANSWER]}
    assert turns(tmp_path, row, system="s")[0] == ("system", "own")


def test_a_chat_keeps_every_turn_in_order(tmp_path: Path):
    row = {"messages": [USER, ANSWER, {"role": "tool", "content": ""}, {"role": "user", "content": "v"}, ANSWER]}
    assert [role for role, _ in turns(tmp_path, row)] == ["user", "assistant", "tool", "user", "assistant"]


def test_a_system_message_beside_the_messages_of_a_chat_is_not_passed_over_in_silence(tmp_path: Path):
    row = {"messages": [USER, ANSWER], "system": "s"}
    assert turns(tmp_path, row)[0] == ("system", "s")  # to refuse it would do as well


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "messages = []: expected a list of turns with role and content"),
        ("hello", "messages = 'hello': expected a list of turns with role and content"),
        ([3], "messages[0] = 3: expected a turn with role and content"),
        ([USER], "messages = ['user']: expected a last turn of the assistant. Nothing to learn."),
        ([USER, ANSWER, USER], "messages = ['user', 'assistant', 'user']: expected a last turn of the assistant. "),
        ([{"content": "s"}, ANSWER], "messages[0].role = None: expected one of system, user, assistant, tool"),
        ([USER, {"role": "assistant", "content": " "}], "messages[1].content = ' ': expected text that is not empty"),
        ([USER, {"role": "assistant"}], "messages[1].content = None: expected text"),
        ([{"role": "user", "content": [1]}, ANSWER], "messages[0].content = [1]: expected text"),
    ],
)
def test_a_chat_that_cannot_be_taken_is_refused(tmp_path: Path, messages: object, said: str):
    assert refused(tmp_path, {"messages": messages}).startswith(said)


def test_an_unknown_role_is_refused_with_the_nearest(tmp_path: Path):
    said = refused(tmp_path, {"messages": [USER, {"role": "asistant", "content": "a"}]})
    expected = "expected one of system, user, assistant, tool. Did you mean 'assistant'?"
    assert said == f"messages[1].role = 'asistant': {expected}"


def test_a_turn_with_more_than_role_and_content_is_refused(tmp_path: Path):
    said = refused(tmp_path, {"messages": [USER, {**ANSWER, "tool_calls": []}]})
    assert said.startswith("messages[1].tool_calls = ")
    assert said.endswith(": expected only role and content")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "u", "completion": ""}, "completion = '': expected text that is not empty"),
        ({"prompt": "u", "completion": "\n"}, "completion = '\\n': expected text that is not empty"),
        ({"prompt": "", "completion": "a"}, "prompt = '': expected text that is not empty"),
        ({"prompt": 3, "completion": "a"}, "prompt = 3: expected text"),
        ({"prompt": None, "completion": "a"}, "prompt = None: expected text"),
        ({"question": "u", "answer": True}, "answer = True: expected text"),
        ({"instruction": "u", "output": ["a"]}, "output = ['a']: expected text"),
        ({"instruction": "u", "input": 1, "output": "a"}, "input = 1: expected text"),
        ({"prompt": "u", "completion": "a", "system": 1}, "system = 1: expected text"),
    ],
)
def test_a_value_that_is_no_text_is_refused(tmp_path: Path, row: dict[str, Any], said: str):
    assert refused(tmp_path, row) == said


def test_a_missing_key_is_refused_with_the_keys_that_are_needed(tmp_path: Path):
    said = refused(tmp_path, {"prompt": "u", "text": "a"}, layout="prompt_completion")
    expected = "expected the keys prompt, completion of the layout prompt_completion"
    assert said == f"completion = ['prompt', 'text']: {expected}"


def test_the_name_offered_for_a_misspelt_key_is_the_one_that_is_needed(tmp_path: Path):
    said = refused(tmp_path, {"promt": "u", "completion": "a"}, layout="prompt_completion")
    assert said.endswith("Did you mean 'prompt'?")


KNOWN = (
    "Layouts: alpaca: instruction, output; chat: messages; prompt_completion: prompt, completion; "
    "question_answer: question, answer."
)


def test_keys_of_no_layout_are_refused_with_all_layouts(tmp_path: Path):
    said = refused(tmp_path, {"zzz": 1})
    assert said == f"x.jsonl line 1 = ['zzz']: expected the keys of a layout we know. {KNOWN}"


def test_keys_near_those_of_a_layout_are_refused_with_the_nearest(tmp_path: Path):
    said = refused(tmp_path, {"mesages": []})
    assert said.endswith(f"expected the keys of a layout we know. Did you mean 'messages'? {KNOWN}")


def test_a_key_that_is_right_is_not_offered_as_a_correction(tmp_path: Path):
    assert "Did you mean 'completion'?" not in refused(tmp_path, {"promt": "u", "completion": "a"})


def test_keys_that_fit_two_layouts_are_refused_until_one_is_named(tmp_path: Path):
    row = {"prompt": "u", "completion": "a", "question": "v", "answer": "b"}
    said = refused(tmp_path, row)
    hint = "It fits prompt_completion, question_answer: say which with data.layout."
    assert said == f"x.jsonl line 1 = {list(row)}: expected keys of one layout. {hint}"
    assert turns(tmp_path, row, layout="question_answer") == [("user", "v"), ("assistant", "b")]


def test_an_unknown_layout_is_refused_with_the_nearest(tmp_path: Path):
    with pytest.raises(NotFoundError) as caught:
        turns(tmp_path, {"prompt": "u", "completion": "a"}, layout="chatt")
    there_are = "There are: alpaca, chat, prompt_completion, question_answer."
    assert str(caught.value) == f"no layout named 'chatt'. Did you mean 'chat'? {there_are}"


def test_no_layout_needs_all_that_another_needs():
    needs = {name: set(LAYOUTS[name].needs) for name in LAYOUTS}
    assert not [(a, b) for a in needs for b in needs if a != b and needs[a] <= needs[b]]
