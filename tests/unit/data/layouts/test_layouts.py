"""Layouts: rows of every kind to records, and every row that is none."""

import json
from typing import Any

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.spec import parse
from graftwork.data.layouts import LAYOUTS, recognise, recognised, record_of
from graftwork.data.records import Origin, Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Bad, Row

USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "a"}
ASKED = [("user", "u"), ("assistant", "a")]


def row_of(data: dict[str, Any], line: int = 1) -> Row:
    return Row(Origin("x.jsonl", line), data)


def record(data: dict[str, Any], layout: str | None = None, system: str | None = None, **source: Any) -> Record:
    row = row_of(data)
    one = record_of(
        row, layout or recognise([row]), parse(SourceSpec, {"path": "x", **source}), system=system, source_number=3
    )
    assert isinstance(one, Record), one
    return one


def turns(data: dict[str, Any], layout: str | None = None, system: str | None = None) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in record(data, layout, system).messages]


def refused(data: dict[str, Any], layout: str | None = None, **source: Any) -> str:
    row = row_of(data)
    asked = parse(SourceSpec, {"path": "x", **source})
    one = record_of(row, layout or recognise([row]), asked, system=None, source_number=0)
    assert isinstance(one, Bad), one
    assert (one.origin, one.reason) == (row.origin, "layout")
    assert json.loads(one.raw) == data
    return one.message.removeprefix("x.jsonl line 1: ")


def unrecognised(data: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        recognise([row_of(data)])
    return str(caught.value)


SAME = [
    ("chat", {"messages": [USER, ANSWER]}),
    ("alpaca", {"instruction": "u", "output": "a"}),
    ("alpaca", {"instruction": "u", "input": "", "output": "a", "history": []}),
    ("alpaca", {"instruction": "u", "output": "a", "text": "rendered"}),
    ("prompt_completion", {"prompt": "u", "completion": "a"}),
    ("prompt_completion", {"prompt": [USER], "completion": [ANSWER]}),
    ("question_answer", {"question": "u", "answer": "a", "id": 7}),
    ("sharegpt", {"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}),
    ("preference", {"prompt": "u", "chosen": "a", "rejected": "b"}),
    ("preference", {"question": "u", "chosen": "a", "rejected": "b"}),
    ("preference", {"instruction": "u", "input": "", "chosen": "a", "rejected": "b"}),
    ("preference", {"prompt": [USER], "chosen": [ANSWER], "rejected": [{**ANSWER, "content": "b"}]}),
    (
        "preference",
        {"chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "b"}], "messages": [USER, ANSWER]},
    ),
    (
        "preference",
        {
            "conversations": [{"from": "human", "value": "u"}],
            "chosen": {"from": "gpt", "value": "a"},
            "rejected": {"from": "gpt", "value": "b"},
        },
    ),
    ("classification", {"text": "u", "label": "a"}),
]


@pytest.mark.parametrize(("name", "data"), SAME)
def test_a_layout_is_seen_from_its_keys(name: str, data: dict[str, Any]):
    assert recognise([row_of(data)]) == name
    assert turns(data) == turns(data, name) == ASKED
    assert record(data).rejected == ("b" if name == "preference" else None)


def test_the_number_of_the_source_and_the_origin_are_kept():
    one = record({"prompt": "u", "completion": "a"})
    assert (one.source, one.origin) == (3, Origin("x.jsonl", 1))


def test_a_plain_text_is_one_turn_of_its_own_role_whatever_the_system_message():
    one = record({"text": "t", "id": 3}, system="s")
    assert [dict(turn) for turn in one.messages] == [{"role": "text", "content": "t"}]
    assert one.is_text


def test_an_alpaca_input_follows_its_instruction_and_its_history_goes_before():
    data = {"instruction": "Add.", "input": "1 2", "output": "3", "history": [["q", "r"], ["s", "t"]]}
    before = [("user", "q"), ("assistant", "r"), ("user", "s"), ("assistant", "t")]
    assert turns(data) == [*before, ("user", "Add.\n\n1 2"), ("assistant", "3")]


def test_a_context_goes_before_its_question():
    data = {"context": ["One.", "Two."], "question": "q", "answer": "a"}
    assert turns(data) == [("user", "One.\n\nTwo.\n\nq"), ("assistant", "a")]
    extracted = {"context": "One.", "question": "q", "answers": {"text": ["a", "b"], "answer_start": [1, 2]}}
    assert turns(extracted) == [("user", "One.\n\nq"), ("assistant", "a")]


def test_calls_are_the_assistants_and_what_they_give_is_the_tools():
    tools = [{"name": "f", "parameters": {}}]
    said = [("human", "u"), ("function_call", "{}"), ("observation", "1"), ("gpt", "a")]
    data = {"conversations": [{"from": who, "value": text} for who, text in said], "tools": json.dumps(tools)}
    one = record({**data, "system": "s"})
    assert [turn["role"] for turn in one.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert one.tools == tuple(tools)
    assert record({**data, "tools": tools}).tools == tuple(tools)
    assert record({**data, "tools": "[]"}).tools == ()


@pytest.mark.parametrize("asked", [("instruction", "output"), ("prompt", "completion"), ("question", "answer")])
def test_a_row_may_bring_a_system_message_of_its_own(asked: tuple[str, str]):
    data = {asked[0]: "u", asked[1]: "a", "system": "s"}
    assert turns(data, system="other") == [("system", "s"), *ASKED]


@pytest.mark.parametrize("data", [{"messages": [USER, ANSWER]}, {"prompt": "u", "completion": "a", "system": None}])
def test_a_system_message_from_the_recipe_goes_to_records_that_have_none(data: dict[str, Any]):
    assert turns(data, system="s") == [("system", "s"), *ASKED]


def test_a_chat_keeps_its_own_system_message():
    data = {"messages": [{"role": "system", "content": "own"}, USER, ANSWER]}
    assert turns(data, system="s")[0] == ("system", "own")
    assert refused({**data, "system": "s"}).startswith("system = 's': expected one system message.")


def test_a_system_message_beside_the_messages_of_a_chat_is_not_passed_over_in_silence():
    assert turns({"messages": [USER, ANSWER], "system": "s"})[0] == ("system", "s")


def test_a_chat_keeps_every_turn_in_order():
    data = {"messages": [USER, ANSWER, {"role": "tool", "content": ""}, {"role": "user", "content": "v"}, ANSWER]}
    assert [role for role, _ in turns(data)] == ["user", "assistant", "tool", "user", "assistant"]


@pytest.mark.parametrize(
    ("mark", "learned"),
    [
        ({"weight": 1}, ((0, 5),)),
        ({"weight": 0}, ()),
        ({"learn": True}, ((0, 5),)),
        ({"learn": False}, ()),
        ({"learn": [[0, 2], [3, 5]]}, ((0, 2), (3, 5))),
        ({"learn": []}, ()),
        ({"learn": None}, None),
    ],
)
def test_a_turn_says_what_is_learned_of_it(mark: dict[str, Any], learned: object):
    first = {"role": "assistant", "content": "hello", **mark}
    one = record({"messages": [USER, first, USER, ANSWER], "system": "s"})
    assert one.learn == (() if learned is None else (None, None, learned, None, None))
    assert [dict(turn) for turn in one.messages][2] == {"role": "assistant", "content": "hello"}


def test_marks_stay_with_their_turns_when_a_system_message_comes_before():
    first = {"from": "gpt", "value": "hello", "weight": 0}
    said = [{"from": "human", "value": "u"}, first, {"from": "human", "value": "v"}, {"from": "gpt", "value": "a"}]
    assert record({"conversations": said}, system="s").learn == (None, None, (), None, None)


def test_marks_of_prompt_and_completion_stand_in_a_row():
    data = {"prompt": [USER, {**ANSWER, "weight": 0}, USER], "completion": [ANSWER]}
    assert record(data).learn == (None, (), None, None)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ({"weight": 2}, "messages[1].weight = 2: expected 0 or 1"),
        ({"weight": True}, "messages[1].weight = True: expected 0 or 1"),
        ({"weight": 1, "learn": True}, "messages[1].learn = True: expected either weight or learn"),
        ({"learn": "yes"}, "messages[1].learn = 'yes': expected true, false, or pairs of places"),
        ({"learn": [[0, 2]]}, "messages[1].learn = [[0, 2]]: expected true, false, or pairs of places [begin, end] in"),
        ({"learn": [[0, 1], [0, 1]]}, "messages[1].learn = [[0, 1], [0, 1]]: expected"),
        ({"learn": [[0, True]]}, "messages[1].learn = [[0, True]]: expected"),
        ({"learn": [[1, 1]]}, "messages[1].learn = [[1, 1]]: expected"),
    ],
)
def test_a_mark_that_is_none_is_refused(mark: dict[str, Any], said: str):
    assert refused({"messages": [USER, {**ANSWER, **mark}]}).startswith(said)


def test_a_conversation_of_which_nothing_is_learned_is_refused():
    data = {"messages": [{**USER, "weight": 0}, {**ANSWER, "weight": 0}]}
    assert refused(data).startswith("messages = 'nothing': expected a turn that is learned.")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "messages = []: expected a list of turns with role and content"),
        ("hello", "messages = 'hello': expected a list of turns with role and content"),
        ([3], "messages[0] = 3: expected a turn with role and content"),
        ([USER], "messages = ['user']: expected a last turn of the assistant. Nothing to learn."),
        ([USER, ANSWER, USER], "messages = ['user', 'assistant', 'user']: expected a last turn of the assistant. "),
        ([{"content": "s"}, ANSWER], "messages[0].role = None: expected one of system, user, assistant, tool"),
        (
            [{"role": [], "content": "s"}, ANSWER],
            "messages[0].role = []: expected one of system, user, assistant, tool",
        ),
        ([USER, {"role": "assistant", "content": " "}], "messages[1].content = ' ': expected text that is not empty"),
        ([USER, {"role": "assistant"}], "messages[1].content = None: expected text"),
        ([{"role": "user", "content": [1]}, ANSWER], "messages[0].content = [1]: expected text"),
        ([USER, {"role": "assistant", "content": "\ud800"}], "messages[1].content = '\\ud800': expected text without"),
    ],
)
def test_a_chat_that_cannot_be_taken_is_refused(messages: object, said: str):
    assert refused({"messages": messages}).startswith(said)


def test_an_unknown_role_is_refused_with_the_nearest():
    said = refused({"messages": [USER, {"role": "asistant", "content": "a"}]})
    expected = "expected one of system, user, assistant, tool. Did you mean 'assistant'?"
    assert said == f"messages[1].role = 'asistant': {expected}"


def test_a_turn_with_more_than_role_and_content_is_refused():
    said = refused({"messages": [USER, {**ANSWER, "tool_calls": []}]})
    assert said.startswith("messages[1].tool_calls = ")
    assert said.endswith(": expected only role and content")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"prompt": "u", "completion": ""}, "completion = '': expected text that is not empty"),
        ({"prompt": "u", "completion": "\n"}, "completion = '\\n': expected text that is not empty"),
        ({"prompt": "", "completion": "a"}, "prompt = '': expected text that is not empty"),
        ({"prompt": 3, "completion": "a"}, "prompt = 3: expected text"),
        ({"prompt": None, "completion": "a"}, "prompt = None: expected text"),
        ({"prompt": [USER], "completion": "a"}, "completion = 'a': expected a list of turns with role and content"),
        ({"prompt": [USER], "completion": [USER]}, "completion = ['user']: expected a last turn of the assistant."),
        ({"question": "u", "answer": True}, "answer = True: expected text"),
        ({"question": "u", "answer": "a", "context": 3}, "context = 3: expected text"),
        ({"question": "u", "answer": "a", "context": ["", "x"]}, "context[0] = '': expected text that is not empty"),
        (
            {"context": "c", "question": "u", "answers": {"text": []}},
            "answers = {'text': []}: expected texts, of which",
        ),
        ({"instruction": "u", "output": ["a"]}, "output = ['a']: expected text"),
        ({"instruction": "u", "input": 1, "output": "a"}, "input = 1: expected text"),
        ({"instruction": "u", "output": "a", "history": "x"}, "history = 'x': expected pairs of what was asked"),
        ({"instruction": "u", "output": "a", "history": [["x"]]}, "history[0] = ['x']: expected a pair of what was"),
        ({"prompt": "u", "completion": "a", "system": 1}, "system = 1: expected text"),
        ({"text": " "}, "text = ' ': expected text that is not empty"),
        ({"conversations": []}, "conversations = []: expected a list of turns with from and value"),
        ({"conversations": [{"from": "humn", "value": "u"}]}, "conversations[0].from = 'humn': expected one of human,"),
        ({"conversations": [{"from": "gpt", "value": ""}]}, "conversations[0].value = '': expected text that is not"),
        ({"conversations": [{"from": "human", "value": "u"}]}, "conversations = ['user']: expected a last turn of the"),
        ({"messages": [USER, ANSWER], "tools": "{"}, "tools = '{': expected a list of tools, each a mapping, or its"),
        ({"messages": [USER, ANSWER], "tools": [3]}, "tools = [3]: expected a list of tools, each a mapping, or its"),
        (
            {"chosen": "a", "rejected": "b"},
            "prompt = None: expected one of prompt, question, instruction, conversations",
        ),
        (
            {"prompt": "u", "question": "u", "chosen": "a", "rejected": "b"},
            "prompt = ['prompt', 'question']: expected one",
        ),
        ({"prompt": "u", "chosen": "a", "rejected": "a"}, "rejected = 'a': expected another answer than chosen."),
        ({"prompt": "u", "chosen": "a", "rejected": [USER, ANSWER]}, "rejected = [{'role': 'user', 'content': 'u'}, "),
        ({"chosen": [USER], "rejected": [USER]}, "chosen = ['user']: expected a last turn of the assistant."),
        (
            {"text": "u", "label": 3},
            "label = 3: expected text, or a number or true or false that labels gives words for.",
        ),
        ({"text": "u", "label": None}, "label = None: expected text"),
    ],
)
def test_a_value_that_is_not_what_its_layout_wants_is_refused(data: dict[str, Any], said: str):
    assert refused(data).startswith(said)


def test_preferences_that_share_no_beginning_are_refused():
    other = [{"role": "user", "content": "v"}, {**ANSWER, "content": "b"}]
    assert ": expected the turns of chosen but for the last" in refused({"chosen": [USER, ANSWER], "rejected": other})


LABELS = {"0": "harmless", "1": "offensive", "true": "yes"}


@pytest.mark.parametrize(("label", "said"), [(0, "harmless"), ("1", "offensive"), (True, "yes")])
def test_labels_say_what_a_label_stands_for(label: object, said: str):
    assert record({"text": "t", "label": label}, labels=LABELS).answer == said


def test_a_label_that_labels_does_not_know_is_refused():
    said = refused({"text": "t", "label": 7}, labels=LABELS)
    assert said == "label = 7: expected one of 0, 1, true, as labels says. Add it to labels."
    said = refused({"text": "t", "label": "ture"}, labels=LABELS)
    assert said.endswith("Did you mean 'true'?")


def test_a_number_without_labels_says_how_to_give_them():
    said = refused({"text": "t", "label": False})
    assert said.endswith('that labels gives words for. Give labels, such as labels: {"false": what it stands for}.')


def test_labels_for_rows_that_have_none_are_not_passed_over():
    said = refused({"prompt": "u", "completion": "a"}, labels=LABELS)
    assert said == "labels = ['0', '1', 'true']: expected none with the layout prompt_completion. It has no label."


@pytest.mark.parametrize(("value", "group"), [("c1", "c1"), (7, "7"), (None, None), ("", None)])
def test_a_group_is_the_value_under_its_key(value: object, group: str | None):
    assert record({"prompt": "u", "completion": "a", "customer": value}, group="customer").group == group


def test_a_group_is_found_under_its_own_name_also_when_it_was_renamed():
    data = {"text": "t", "label": "l"}  # as after renaming
    assert record(data, group="LABEL", fields={"label": "LABEL"}).group == "l"


def test_a_group_that_is_not_there_or_no_name_is_refused():
    data = {"prompt": "u", "completion": "a"}
    said = refused({**data, "custmer": 3}, group="customer")
    assert said.endswith("expected a key customer. Did you mean 'custmer'?")
    assert refused({**data, "customer": [1]}, group="customer").startswith("customer = [1]: expected text or a whole")


def test_a_missing_key_is_refused_with_the_keys_that_are_needed():
    said = refused({"prompt": "u", "text": "a"}, "prompt_completion")
    expected = "expected the keys prompt, completion of the layout prompt_completion"
    assert said == f"completion = ['prompt', 'text']: {expected}"


def test_the_name_offered_for_a_misspelt_key_is_the_one_that_is_needed():
    said = refused({"promt": "u", "completion": "a"}, "prompt_completion")
    assert said.endswith("Did you mean 'prompt'?")


KNOWN = (
    "Layouts: alpaca: instruction, output; chat: messages; classification: text, label; "
    "extractive_qa: context, question, answers; preference: chosen, rejected; prompt_completion: prompt, completion; "
    "question_answer: question, answer; sharegpt: conversations; text: text. "
    "Say with fields what their keys are called here."
)


def test_keys_of_no_layout_are_refused_with_all_layouts():
    assert unrecognised({"zzz": 1}) == f"x.jsonl line 1 = ['zzz']: expected the keys of a layout we know. {KNOWN}"


@pytest.mark.parametrize(("key", "near"), [("mesages", "messages"), ("TEXT", "text")])
def test_keys_near_those_of_a_layout_are_refused_with_the_nearest(key: str, near: str):
    said = unrecognised({key: 1})
    assert said == f"x.jsonl line 1 = [{key!r}]: expected the keys of a layout we know. Did you mean {near!r}? {KNOWN}"


def test_a_key_that_is_right_is_not_offered_as_a_correction():
    assert "Did you mean 'completion'?" not in unrecognised({"promt": "u", "completion": "a"})


def test_keys_that_fit_two_layouts_are_refused_until_one_is_named():
    data = {"prompt": "u", "completion": "a", "question": "v", "answer": "b"}
    hint = "It fits prompt_completion, question_answer: say which with data.layout."
    assert unrecognised(data) == f"x.jsonl line 1 = {list(data)}: expected keys of one layout. {hint}"
    assert turns(data, "question_answer") == [("user", "v"), ("assistant", "b")]


def test_most_of_the_first_rows_say_which_layout_it_is():
    odd, chat = row_of({"prompt": "u", "completion": "a"}), row_of({"messages": []}, 2)
    assert recognise([odd, chat, chat]) == "chat"
    assert recognise([row_of({"zzz": 1}), row_of({"yyy": 1}), odd]) == "prompt_completion"


def test_an_unknown_layout_is_refused_with_the_nearest():
    with pytest.raises(NotFoundError) as caught:
        record_of(row_of({}), "chatt", SourceSpec(path="x"), system=None, source_number=0)
    assert str(caught.value).startswith("no layout named 'chatt'. Did you mean 'chat'? There are: alpaca, chat, ")


def test_every_layout_is_recognised_by_what_it_needs_alone():
    for name in LAYOUTS:
        assert recognised(list(LAYOUTS[name].needs), "x") == name


def test_a_record_is_not_changed_by_what_is_done_to_its_row_later():
    data = {"messages": [dict(USER), dict(ANSWER)]}
    digest = record(data).digest
    assert record(json.loads(json.dumps(data))).digest == digest
