"""Values that several layouts read: texts, system messages, tools, marks of what is learned. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from graftwork.core.spec import is_whole_text
from graftwork.data.edits import Spans
from graftwork.data.layouts.layout import Conversation, Data, LayoutError, Turn

Tools = tuple[Mapping[str, Any], ...]


def text(data: Data, key: str, *, empty: bool = False) -> str:
    """The text under `key`; other types are refused, and empty text too unless `empty`."""
    value = data.get(key)
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise LayoutError(key, value, "text")
    if not is_whole_text(value):
        raise LayoutError(key, value, "text without half characters")
    if not empty and not value.strip():
        raise LayoutError(key, value, "text that is not empty")
    return value


def texts(data: Data, key: str) -> str:
    """The text under `key`, or all of a list of texts as paragraphs; nothing when it is not there."""
    value = data.get(key)
    if not isinstance(value, list):
        return text(data, key, empty=True)
    return "\n\n".join(text({f"{key}[{i}]": part}, f"{key}[{i}]") for i, part in enumerate(value))


def asked_and_answered(data: Data, user: str, answer: str, *, earlier: Sequence[Turn] = ()) -> Conversation:
    """A question and its answer, after `earlier` turns and the system message that stands beside them."""
    turns: list[Turn] = [*earlier, {"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    return beside(data, Conversation(turns))


def beside(data: Data, said: Conversation) -> Conversation:
    """`said` with the system message and the tools that stand beside its turns in the row."""
    turns, learn = said.turns, said.learn
    tools = _tools(data["tools"]) if data.get("tools") else said.tools
    system = text(data, "system", empty=True)
    if system:
        if turns[0]["role"] == "system":
            raise LayoutError("system", system, "one system message", "There is one among the turns too.")
        turns = [{"role": "system", "content": system}, *turns]
        learn = (None, *learn) if learn else ()
    elif tools is said.tools:
        return said
    return Conversation(turns, learn, said.rejected, tools)


def ends_with_an_answer(turns: Sequence[Turn], key: str) -> None:
    """Refuse turns of which the last is not the assistant's."""
    if turns[-1]["role"] != "assistant":
        roles = [turn["role"] for turn in turns]
        raise LayoutError(key, roles, "a last turn of the assistant", "Nothing to learn.")


def marks(turn: Mapping[str, object], content: str, where: str) -> Spans | None:
    """What a turn says is learned of it: `weight` 0 or 1, `learn` true, false or pairs of places; None if nothing."""
    if "weight" in turn and "learn" in turn:
        raise LayoutError(f"{where}.learn", turn["learn"], "either weight or learn")
    if turn.get("weight") is not None:
        weight = turn["weight"]
        if isinstance(weight, bool) or weight not in (0, 1):
            raise LayoutError(f"{where}.weight", weight, "0 or 1")
        return _all(content) if weight else ()
    learn = turn.get("learn")
    if learn is None:
        return None
    if isinstance(learn, bool):
        return _all(content) if learn else ()
    return _spans(learn, content, f"{where}.learn")


def marked(learn: Sequence[Spans | None], key: str) -> tuple[Spans | None, ...]:
    """The marks of all turns; none when no turn has any. All of them saying that nothing is learned is refused."""
    if all(spans is None for spans in learn):
        return ()
    if not any(spans is None or spans for spans in learn):
        raise LayoutError(key, "nothing", "a turn that is learned", "All weights are 0, or learn is false everywhere.")
    return tuple(learn)


def _all(content: str) -> Spans:
    return ((0, len(content)),) if content else ()


def _spans(value: object, content: str, where: str) -> Spans:
    expected = f"true, false, or pairs of places [begin, end] in order, from 0 to {len(content)}"
    if not isinstance(value, list):
        raise LayoutError(where, value, expected)
    spans, at = [], 0
    for pair in value:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(place) is int for place in pair)):
            raise LayoutError(where, value, expected)
        begin, end = pair
        if not at <= begin < end <= len(content):
            raise LayoutError(where, value, expected)
        spans.append((begin, end))
        at = end
    return tuple(spans)


def _tools(value: object) -> Tools:
    """Tools as a list of schemas, or as its JSON text."""
    expected = "a list of tools, each a mapping, or its JSON text"
    given = value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise LayoutError("tools", given, expected, str(error)) from error
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise LayoutError("tools", given, expected)
    if not is_whole_text(json.dumps(value, ensure_ascii=False, default=str)):
        raise LayoutError("tools", given, "text without half characters")
    return tuple(value)
