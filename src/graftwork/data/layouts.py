"""Layouts: how a row of a file is a conversation. One more layout is one more entry in the catalog.

A layout raises `LayoutError` for a row it cannot take; the reader adds file and line.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from graftwork.core.catalog import Catalog
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import is_whole_text
from graftwork.data.records import ROLES

Row = Mapping[str, object]
Turns = list[dict[str, str]]


class LayoutError(ValueError):
    """A row that its layout cannot take: which key, what it holds, what is expected."""

    def __init__(self, key: str, value: object, expected: str, hint: str = "") -> None:
        super().__init__(key, value, expected, hint)
        self.key, self.value, self.expected, self.hint = key, value, expected, hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A way to lay out a conversation in a row.

    Attributes:
        needs: keys that tell this layout and that every row must have.
        turns: the row's conversation.
    """

    needs: tuple[str, ...]
    turns: Callable[[Row], Turns]


LAYOUTS: Catalog[Layout] = Catalog("layout")


def recognised(keys: Sequence[str], where: str) -> str:
    """The name of the layout that rows with `keys` have.

    Raises:
        SpecError: none fits, or more than one does.
    """
    fits = [name for name in LAYOUTS if set(LAYOUTS[name].needs) <= set(keys)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        hint = f"It fits {', '.join(fits)}: say which with data.layout."
        raise SpecError([Problem(where, list(keys), "keys of one layout", hint)])
    needed = {key for name in LAYOUTS for key in LAYOUTS[name].needs}
    near = nearest(keys, needed)
    known = "; ".join(f"{name}: {', '.join(LAYOUTS[name].needs)}" for name in LAYOUTS)
    raise SpecError([Problem(where, list(keys), "the keys of a layout we know", f"{near} Layouts: {known}.".strip())])


def nearest(keys: Iterable[object], needed: Collection[str]) -> str:
    """For each of `keys` that is none of `needed`, the one of them it is nearest to, if any.

    >>> nearest(["promt", "completion"], ["prompt", "completion"])
    "Did you mean 'prompt'?"
    """
    missing = [name for name in needed if name not in set(keys)]
    return " ".join(filter(None, (did_you_mean(str(key), missing) for key in keys if key not in needed)))


def text(row: Row, key: str, *, empty: bool = False) -> str:
    """The text under `key`; other types are refused, and empty text too unless `empty`."""
    value = row.get(key)
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise LayoutError(key, value, "text")
    if not is_whole_text(value):
        raise LayoutError(key, value, "text without half characters")
    if not empty and not value.strip():
        raise LayoutError(key, value, "text that is not empty")
    return value


def _chat(row: Row) -> Turns:
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise LayoutError("messages", messages, "a list of turns with role and content")
    turns: Turns = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict):
            raise LayoutError(where, message, "a turn with role and content")
        if extra := message.keys() - {"role", "content"}:
            raise LayoutError(f"{where}.{sorted(extra)[0]}", message, "only role and content")
        if message.get("role") not in ROLES:
            hint = did_you_mean(str(message.get("role")), ROLES)
            raise LayoutError(f"{where}.role", message.get("role"), f"one of {', '.join(ROLES)}", hint)
        try:
            content = text(message, "content", empty=message["role"] != "assistant")
        except LayoutError as error:
            raise LayoutError(f"{where}.content", error.value, error.expected) from error
        turns.append({"role": message["role"], "content": content})
    if turns[-1]["role"] != "assistant":
        raise LayoutError("messages", [t["role"] for t in turns], "a last turn of the assistant", "Nothing to learn.")
    return _beside_messages(row, turns)


def _beside_messages(row: Row, turns: Turns) -> Turns:
    """`turns` with the system message that stands beside them in the row."""
    if row.get("tools"):
        raise LayoutError("tools", row["tools"], "a conversation without tools", "They are not written yet.")
    system = text(row, "system", empty=True)
    if system and turns[0]["role"] == "system":
        raise LayoutError("system", system, "one system message", "There is one among the messages too.")
    return [{"role": "system", "content": system}, *turns] if system else turns


def _with_system(row: Row, user: str, answer: str) -> Turns:
    system = text(row, "system", empty=True)
    head: Turns = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": user}, {"role": "assistant", "content": answer}]


def _alpaca(row: Row) -> Turns:
    more = text(row, "input", empty=True)
    asked = text(row, "instruction")
    return _with_system(row, f"{asked}\n\n{more}" if more else asked, text(row, "output"))


def _pair(asked: str, answered: str) -> Callable[[Row], Turns]:
    return lambda row: _with_system(row, text(row, asked), text(row, answered))


LAYOUTS.add("chat", Layout(needs=("messages",), turns=_chat))
LAYOUTS.add("alpaca", Layout(needs=("instruction", "output"), turns=_alpaca))
LAYOUTS.add("prompt_completion", Layout(needs=("prompt", "completion"), turns=_pair("prompt", "completion")))
LAYOUTS.add("question_answer", Layout(needs=("question", "answer"), turns=_pair("question", "answer")))
