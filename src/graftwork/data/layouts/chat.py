"""Chat: `messages`, each with role and content, and maybe with `weight` or `learn` for what is learned of it."""

from collections.abc import Mapping, Sequence

from graftwork.core.errors import did_you_mean
from graftwork.core.spec import is_whole_text
from graftwork.data.edits import Spans
from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout, LayoutError, Turn
from graftwork.data.layouts.values import beside, ends_with_an_answer, marked, marks, text
from graftwork.data.records import ROLES

KEYS = {"role", "content", "weight", "learn"}


def turns_of(messages: object, key: str) -> Conversation:
    """Messages under `key` as turns, with what they mark. Raises LayoutError for what is none."""
    if not isinstance(messages, list) or not messages:
        raise LayoutError(key, messages, "a list of turns with role and content")
    if _are_plain(messages):
        return Conversation(messages)
    turns: list[Turn] = []
    learn: list[Spans | None] = []
    for i, message in enumerate(messages):
        where = f"{key}[{i}]"
        turn = _turn(message, where)
        turns.append(turn)
        learn.append(marks(message, turn["content"], where))
    return Conversation(turns, marked(learn, key))


def _are_plain(messages: list[object]) -> bool:
    """Whether messages are turns as they are, which most are: role and content, nothing else, nothing wrong."""
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return False
        content, role = message.get("content"), message.get("role")
        if type(content) is not str or type(role) is not str or role not in ROLES:
            return False
        if not (content.isascii() or is_whole_text(content)):
            return False
        if role == "assistant" and (not content or content.isspace()):
            return False
    return True


def _turn(message: object, where: str) -> Turn:
    if not isinstance(message, dict):
        raise LayoutError(where, message, "a turn with role and content")
    if extra := message.keys() - KEYS:
        raise LayoutError(f"{where}.{min(map(str, extra))}", message, "only role and content")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise LayoutError(f"{where}.role", role, f"one of {', '.join(ROLES)}", did_you_mean(str(role), ROLES))
    return {"role": role, "content": content_of(message, "content", role, where)}


def content_of(message: Mapping[str, object], key: str, role: str, where: str) -> str:
    """The text of a turn; only an assistant must say something."""
    try:
        return text(message, key, empty=role != "assistant")
    except LayoutError as error:
        raise LayoutError(f"{where}.{key}", error.value, error.expected) from error


def _conversation(data: Data) -> Conversation:
    said = turns_of(data["messages"], "messages")
    ends_with_an_answer(said.turns, "messages")
    return beside(data, said)


def are_messages(value: object) -> bool:
    """Whether `value` is meant as a list of messages."""
    return isinstance(value, Sequence) and not isinstance(value, str)


LAYOUTS.add("chat", Layout(needs=("messages",), more=("system", "tools"), conversation=_conversation))
