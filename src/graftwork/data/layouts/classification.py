"""Classification: `text` and its `label`, which the model says as its answer."""

from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout, LayoutError
from graftwork.data.layouts.values import asked_and_answered, text


def _conversation(data: Data) -> Conversation:
    label = data["label"]
    if isinstance(label, int):
        name = str(label).lower() if isinstance(label, bool) else str(label)
        hint = f'Give labels, such as labels: {{"{name}": what it stands for}}.'
        raise LayoutError("label", label, "text, or a number or true or false that labels gives words for", hint)
    return asked_and_answered(data, text(data, "text"), text(data, "label"))


LAYOUTS.add("classification", Layout(needs=("text", "label"), over=("text",), conversation=_conversation))
