"""Preference: `chosen` and `rejected` after what was asked, as texts, as turns, or as whole conversations."""

from collections.abc import Sequence

from graftwork.data.layouts import chat, sharegpt
from graftwork.data.layouts.alpaca import asked, earlier
from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout, LayoutError, Turn
from graftwork.data.layouts.values import beside, ends_with_an_answer, text

MORE = ("prompt", "question", "instruction", "input", "history", "conversations", "messages", "system", "tools")


def _conversation(data: Data) -> Conversation:
    chosen, rejected = _answer(data, "chosen"), _answer(data, "rejected")
    if chosen[:-1] != rejected[:-1]:
        raise LayoutError("rejected", data["rejected"], "the turns of chosen but for the last")
    before = chosen[:-1] or _before(data)
    if chosen[-1] == rejected[-1]:
        raise LayoutError("rejected", data["rejected"], "another answer than chosen", "There is nothing to prefer.")
    return beside(data, Conversation([*before, chosen[-1]], rejected=rejected[-1]["content"]))


def _answer(data: Data, key: str) -> list[Turn]:
    """An answer as a turn, after the turns before it if they are written with it."""
    value = data[key]
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list):
        turns = _turns(value, key)
        ends_with_an_answer(turns, key)
        return turns
    return [{"role": "assistant", "content": text(data, key)}]


def _turns(value: list[object], key: str) -> list[Turn]:
    is_chat = bool(value) and isinstance(value[0], dict) and "role" in value[0]
    said = chat.turns_of(value, key) if is_chat else sharegpt.turns_of(value, key)
    if said.learn:
        raise LayoutError(
            key, value, "turns without weight or learn", "Of a preference, the last answers are compared."
        )
    return said.turns


def _before(data: Data) -> Sequence[Turn]:
    """What was asked, under the one key of those in use that is there."""
    there = [key for key in ("prompt", "question", "instruction", "conversations", "messages") if data.get(key)]
    if len(there) != 1:
        expected = "one of prompt, question, instruction, conversations, messages"
        raise LayoutError("prompt", there or None, expected)
    value = data[there[0]]
    if isinstance(value, list):
        return _turns(value, there[0])
    question = asked(data) if there[0] == "instruction" else text(data, there[0])
    return [*earlier(data), {"role": "user", "content": question}]


LAYOUTS.add(
    "preference",
    Layout(needs=("chosen", "rejected"), more=MORE, over=("chat", "sharegpt"), conversation=_conversation),
)
