"""A conversation as text: whose turn is where, with and without a template that says so itself."""

import pytest
from tests.support.tiny_base import CHATML

from graftwork.base.rendering import Template
from graftwork.core.errors import SpecError

MARKED = (  # leaves out of all answers but the last what stands before a slash, and marks what it writes
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content if loop.last else m.content.split('/')[-1] }}<|im_end|>{% endgeneration %}\n"
    "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe good.<|im_end|>\n{% endif %}" + CHATML
SYSTEM_IN_FIRST_TURN = (
    "{% set has_system = messages[0].role == 'system' %}{% for m in messages[has_system | int:] %}"
    "[{{ m.role }}]{{ messages[0].content.strip() ~ '\n' if has_system and loop.first }}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
WITH_TOOLS = "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}" + CHATML
TOOL = {"type": "function", "function": {"name": "balance", "description": "What is left.", "parameters": {}}}


def turns(*said):
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return [{"role": roles[one[0]], "content": one[2:]} for one in said]


def answers(text, messages, **more):
    rendered, spans = Template(text, {}).answers(messages, **more)
    return [rendered[begin:end] for begin, end in spans]


def asking(text, messages, **more):
    """The text, cut where the system turn ends and where somebody asks."""
    template = Template(text, {})
    rendered = template.render(messages, **more)
    starts = template.turn_starts(messages, rendered, **more)
    return [rendered[begin:end] for begin, end in zip([0, *starts], [*starts, len(rendered)], strict=True)]


@pytest.mark.parametrize("spelled", ["{% generation %}", "{%- generation -%}", "{%generation%}", "{%-  generation%}"])
def test_a_template_that_marks_answers_is_known(spelled):
    assert Template(spelled, {}).marks_answers
    assert not Template("{{ generation }} {% if add_generation_prompt %}{% endif %}", {}).marks_answers


def test_answers_are_what_the_template_marks_even_where_it_rewrites_earlier_ones():
    said = turns("u:one", "a:thought/first", "u:two", "a:more/second")
    assert answers(MARKED, said) == ["first<|im_end|>", "more/second<|im_end|>"]


def test_answers_of_a_template_without_marks_go_to_the_end_of_the_turn():
    said = turns("s:x", "u:one", "a:first", "u:two", "a:second")
    assert answers(CHATML, said) == ["first<|im_end|>\n", "second<|im_end|>\n"]


def test_marks_do_not_change_what_is_rendered():
    said = turns("u:one", "a:a/b", "u:two", "a:c")
    assert Template(MARKED, {}).answers(said)[0] == Template(MARKED, {}).render(said)


def test_a_template_whose_marks_do_not_hold_every_answer_once_is_refused():
    last_only = MARKED.replace("m.role == 'assistant'", "m.role == 'assistant' and loop.last")
    with pytest.raises(SpecError) as raised:
        Template(last_only, {}).answers(turns("u:1", "a:2", "u:3", "a:4"))
    assert str(raised.value) == (
        "messages = '1 marked of 2': expected a chat template whose generation marks hold each turn of the assistant "
        "once"
    )


def test_a_template_that_rewrites_without_marks_is_refused():
    rewriting = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    with pytest.raises(SpecError) as raised:
        Template(rewriting, {}).answers(turns("u:one", "a:a/b", "u:two", "a:c"))
    assert str(raised.value) == (
        "messages = 'a/b': expected a chat template that only appends. "
        "This base's template rewrites earlier turns at turn 2; give shorter conversations."
    )


@pytest.mark.parametrize("template", [CHATML, WITH_TOOLS])
def test_each_turn_that_asks_is_found_and_answers_and_tools_are_not(template):
    said = turns("s:Be kind.", "u:one", "a:first", "u:two", "a:call", "t:4", "a:second", "u:three")
    head, one, two, three = asking(template, said)
    assert head == "<|im_start|>system\nBe kind.<|im_end|>\n"
    assert one.startswith("<|im_start|>user\none")
    assert two.startswith("<|im_start|>user\ntwo")
    assert three == "<|im_start|>user\nthree<|im_end|>\n"


def test_a_system_turn_that_the_template_writes_by_itself_is_found():
    head, one, two = asking(DEFAULT_SYSTEM, turns("u:one", "a:first", "u:two"))
    assert head == "<|im_start|>system\nBe good.<|im_end|>\n"
    assert (one[:16], two[:16]) == ("<|im_start|>user", "<|im_start|>user")
    assert asking(CHATML, turns("u:one", "a:first"))[0] == ""
    assert asking(DEFAULT_SYSTEM, turns("s:mine", "u:one"))[0] == "<|im_start|>system\nmine<|im_end|>\n"


def test_the_system_turn_takes_the_tools_along():
    head, one = asking(WITH_TOOLS, turns("s:Be kind.", "u:one", "a:first"), tools=[TOOL])
    assert "balance" in head
    assert head.endswith("Be kind.<|im_end|>\n")
    assert one.startswith("<|im_start|>user")


def test_a_system_turn_within_the_first_turn_ends_with_what_it_says():
    head, one, two = asking(SYSTEM_IN_FIRST_TURN, turns("s: Be kind. ", "u:one", "a:first", "u:two"))
    assert (head, one, two) == ("[user]Be kind.", "\none[assistant]first", "[user]two")


def test_a_system_turn_that_reads_as_a_role_is_found_where_it_is_said():
    assert asking(SYSTEM_IN_FIRST_TURN, turns("s:use", "u:one"))[0] == "[user]use"


def test_a_template_that_takes_no_system_turn_has_none():
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}" + CHATML
    assert asking(refusing, turns("u:one", "a:first", "u:two"))[0] == ""


def test_turns_that_are_rewritten_later_are_passed_over():
    said = turns("u:one", "a:a/b", "u:two", "a:c", "u:three")
    head, one, three = asking(MARKED, said)  # until "a/b" is rewritten, no text of the beginning is one of the whole
    assert (head, three) == ("", "<|im_start|>user\nthree<|im_end|>\n")
    assert "two" in one


def test_whether_a_template_tells_of_tools_is_seen():
    said = turns("u:one")
    assert Template(WITH_TOOLS, {}).writes_tools(said, [TOOL])
    assert not Template(CHATML, {}).writes_tools(said, [TOOL])


@pytest.mark.parametrize("broken", ["{{ messages[9].content }}", "{{ 1 + 'a' }}", "{% if %}", "{{ x.y.z }}"])
def test_a_template_that_fails_is_a_wrong_request(broken):
    with pytest.raises(SpecError, match="turns that this base's template takes"):
        Template(broken, {}).render(turns("u:one"))


def test_special_tokens_are_the_tokenizers():
    assert Template("{{ bos_token }}{{ messages[0].content }}", {"bos_token": "<s>"}).render(turns("u:x")) == "<s>x"
