"""Text from outside in Markdown: as it is, and never as marks of its own. Pure."""

import re
from collections.abc import Iterable, Sequence

from graftwork.pipeline.pages.visible import plain

MARKS = re.compile(r"[\\`*_\[\]<>#|~&$]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
SPACES = re.compile(r"\s+")
TICKS = re.compile(r"`+")


def inline(text: object) -> str:
    """`text` on one line, every mark of Markdown or HTML in it escaped.

    >>> inline("<b>a|b*c</b>\\n")
    '\\\\<b\\\\>a\\\\|b\\\\*c\\\\</b\\\\>'
    """
    return MARKS.sub(r"\\\g<0>", SPACES.sub(" ", plain(str(text))).strip())


def code(text: object) -> str:
    """`text` as code on one line, also within a table.

    >>> code("a`b|c")
    '``a`b\\\\|c``'
    """
    told = SPACES.sub(" ", plain(str(text))).strip().replace("|", "\\|") or " "
    fence = "`" * (max(map(len, TICKS.findall(told)), default=0) + 1)
    room = " " if told.startswith("`") or told.endswith("`") else ""
    return f"{fence}{room}{told}{room}{fence}"


def quoted(text: str) -> str:
    """What somebody wrote, as a quotation of as many lines."""
    return "\n".join(f"> {inline(line)}".rstrip() for line in text.strip().splitlines())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
