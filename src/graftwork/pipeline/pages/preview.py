"""The preview: training rows token by token, the learned ones marked, as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from graftwork.pipeline.pages.page import rendered


class Piece(NamedTuple):
    """What one token says, or several that say a character together.

    Attributes:
        is_target: whether it is learned.
        is_special: whether it is a control token.
        num_tokens: how many tokens.
    """

    text: str
    is_target: bool
    is_special: bool = False
    num_tokens: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewRow:
    """A training row to look at.

    Attributes:
        origin: file and line of its record.
        source: number of the recipe's source, counted from 0.
        window: which window of its record, counted from 0.
        num_windows: of how many.
    """

    origin: str
    source: int
    window: int
    num_windows: int = 1
    pieces: tuple[Piece, ...]
    num_tokens: int
    num_targets: int


def preview_page(rows: Sequence[PreviewRow], *, name: str) -> str:
    """One file of HTML that shows `rows` of the run called `name`."""
    return rendered("preview.html", {"rows": rows, "name": name})
