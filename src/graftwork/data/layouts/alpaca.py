"""Alpaca: `instruction`, maybe with `input`, and `output`; `history` holds pairs of earlier turns."""

from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout, LayoutError, Turn
from graftwork.data.layouts.values import asked_and_answered, text

MORE = ("input", "history", "system")


def asked(data: Data) -> str:
    """The instruction, with its input as a paragraph of its own."""
    more = text(data, "input", empty=True)
    instruction = text(data, "instruction")
    return f"{instruction}\n\n{more}" if more else instruction


def earlier(data: Data) -> list[Turn]:
    """The turns of `history`, in order."""
    history = data.get("history") or []
    if not isinstance(history, list):
        raise LayoutError("history", history, "pairs of what was asked and answered")
    turns: list[Turn] = []
    for i, pair in enumerate(history):
        where = f"history[{i}]"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise LayoutError(where, pair, "a pair of what was asked and answered")
        turns.append({"role": "user", "content": text({where: pair[0]}, where)})
        turns.append({"role": "assistant", "content": text({where: pair[1]}, where)})
    return turns


def _conversation(data: Data) -> Conversation:
    return asked_and_answered(data, asked(data), text(data, "output"), earlier=earlier(data))


LAYOUTS.add("alpaca", Layout(needs=("instruction", "output"), more=MORE, conversation=_conversation))
