"""ShareGPT: `conversations`, each turn with `from` and `value`; tools beside, calls and what they give as turns."""

from graftwork.core.errors import did_you_mean
from graftwork.data.edits import Spans
from graftwork.data.layouts.chat import content_of
from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout, LayoutError, Turn
from graftwork.data.layouts.values import beside, ends_with_an_answer, marked, marks

SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
    "system": "system",
}
"""Who speaks, by the names that are in use."""


def turns_of(conversations: object, key: str) -> Conversation:
    """Turns with `from` and `value` under `key`, with what they mark. Raises LayoutError for what is none."""
    if not isinstance(conversations, list) or not conversations:
        raise LayoutError(key, conversations, "a list of turns with from and value")
    turns: list[Turn] = []
    learn: list[Spans | None] = []
    for i, given in enumerate(conversations):
        where = f"{key}[{i}]"
        turn = turn_of(given, where)
        turns.append(turn)
        learn.append(marks(given, turn["content"], where))
    return Conversation(turns, marked(learn, key))


def turn_of(given: object, where: str) -> Turn:
    """One turn with `from` and `value`."""
    if not isinstance(given, dict):
        raise LayoutError(where, given, "a turn with from and value")
    speaker = given.get("from")
    if not isinstance(speaker, str) or speaker not in SPEAKERS:
        hint = did_you_mean(str(speaker), SPEAKERS)
        raise LayoutError(f"{where}.from", speaker, f"one of {', '.join(SPEAKERS)}", hint)
    role = SPEAKERS[speaker]
    return {"role": role, "content": content_of(given, "value", role, where)}


def _conversation(data: Data) -> Conversation:
    said = turns_of(data["conversations"], "conversations")
    ends_with_an_answer(said.turns, "conversations")
    return beside(data, said)


LAYOUTS.add("sharegpt", Layout(needs=("conversations",), more=("system", "tools"), conversation=_conversation))
