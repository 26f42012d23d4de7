"""Overlap: items whose question and answer were trained on. Pure.

Two texts are the same if they are after Unicode's compatibility form, case and white space are taken from them: full
and half width, line ends and letters' case hide no copy.
"""

import unicodedata
from collections.abc import Iterable

from graftwork.core.digests import digest
from graftwork.data.records import Record
from graftwork.evaluation.item import Item


def overlapping(train: Iterable[Record], items: Iterable[Item]) -> tuple[str, ...]:
    """Ids of the items that are among the training records, in the items' order; those without an answer are not asked.

    An item is what its first question's last turn asks and what it expects, so that another system prompt hides none;
    an item that weighs a plain text is that text.
    """
    asked = [(item.id, of_item) for item in items if (of_item := _of_item(item))]
    if not asked:
        return ()
    trained = {_named(record.question, record.answer) for record in train}
    return tuple(name for name, content in asked if content in trained)


def _of_item(item: Item) -> str:
    first = item.questions[0] if item.questions else None
    if first is None:
        return ""
    if first.is_text:
        return _named("", first.options[0]) if len(first.options) == 1 else ""
    return _named(first.prompt[-1]["content"], item.expected) if item.expected and first.prompt else ""


def _named(question: str, answer: str) -> str:
    return digest([_plain(question), _plain(answer)])


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
