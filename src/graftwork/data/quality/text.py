"""What two records are compared by: their texts without differences that no reader sees, and the shingles of them.

A shingle is a short piece of text; a text has one at every character. Where it begins with a Latin letter, a digit or
the like it is five characters long, where it begins with a Chinese, Japanese or Korean one, which says more, three.
"""

import re
import unicodedata
from dataclasses import dataclass

from graftwork.core.digests import canonical_json
from graftwork.data.records import Record

DENSE = "\u2e80"
"""From here on in Unicode, characters of Chinese, Japanese and Korean: each says about as much as two Latin letters."""

SPARSE_WIDTH, DENSE_WIDTH = 5, 3
PART = "\x1f"
"""Stands between the parts of a compared text, and nowhere in them."""


SENTENCE = re.compile(r"[。!?;]|[.,:](?!\d)")
"""What a sentence has and a label has not; a point or comma within a number is neither."""

LABEL_CHARACTERS = 40
"""Longest answer that is usually a label."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is compared of a record, each part normalised.

    Attributes:
        setting: system messages and tools; two records that differ here are never near duplicates.
        asked: all turns before the last answer, but those of the system.
        answered: the last answer.
        rejected: the worse answer of a preference pair.
    """

    setting: str
    asked: str
    answered: str
    rejected: str

    @property
    def content(self) -> str:
        """The part in which likeness is measured."""
        return "\n".join(filter(None, (self.asked, self.answered, self.rejected)))


def normalised(text: str) -> str:
    """`text` without differences of width, case and white space.

    >>> normalised("Ｈｅｌｌｏ　 World\\n")
    'hello world'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().replace(PART, " ").split())


def parts(record: Record) -> Parts:
    """What is compared of `record`."""
    setting = [turn["content"] for turn in record.messages if turn["role"] == "system"]
    asked = [turn["content"] for turn in record.prompt if turn["role"] != "system"]
    if record.tools:
        setting.append(canonical_json(list(record.tools)).decode())
    return Parts(
        setting=normalised("\n".join(setting)) if setting else "",
        asked="\n".join(map(normalised, asked)),
        answered=normalised(record.answer),
        rejected=normalised(record.rejected) if record.rejected else "",
    )


def compared_text(record: Record) -> str:
    """The one text of `record` that `judged` asks for: its parts, told apart by a character that is in none."""
    told = parts(record)
    return PART.join((told.setting, told.asked, told.answered, told.rejected))


def read_parts(text: str) -> Parts:
    """The parts of a `compared_text`."""
    setting, asked, answered, rejected = text.split(PART)
    return Parts(setting, asked, answered, rejected)


def is_label(answer: str, max_characters: int = LABEL_CHARACTERS) -> bool:
    """Whether a normalised answer is like a label.

    >>> is_label("card_arrival", 40), is_label("1,000.5", 40), is_label("it depends.", 40)
    (True, True, False)
    """
    return 0 < len(answer) <= max_characters and not SENTENCE.search(answer)


def shingles(text: str) -> frozenset[str]:
    """Every shingle of `text`; of one shorter than a shingle, itself.

    >>> sorted(shingles("贷款利率 5%"))
    ['利率 ', '款利率', '率 5', '贷款利']
    """
    padded = text.ljust(SPARSE_WIDTH, "\0")
    last, dense = len(padded) - SPARSE_WIDTH, DENSE
    found = {padded[i : i + (DENSE_WIDTH if padded[i] >= dense else SPARSE_WIDTH)] for i in range(last + 1)}
    found.update(padded[i : i + DENSE_WIDTH] for i in (last + 1, last + 2) if padded[i] >= dense)
    return frozenset(found)
