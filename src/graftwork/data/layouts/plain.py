"""Plain text, such as the pages of a field of work: no conversation, all of it is learned."""

from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout
from graftwork.data.layouts.values import text
from graftwork.data.records import TEXT


def _conversation(data: Data) -> Conversation:
    return Conversation([{"role": TEXT, "content": text(data, "text")}])


LAYOUTS.add("text", Layout(needs=("text",), more=(), is_last=True, conversation=_conversation))
