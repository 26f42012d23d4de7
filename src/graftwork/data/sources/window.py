"""A part of a text that moves along it: what is read of a file that has no lines to hold on to."""

from dataclasses import dataclass

from graftwork.core.spec import is_whole_text
from graftwork.data.sources.chunks import Damage, decoder
from graftwork.data.sources.json_values import SPACE
from graftwork.data.sources.reader import LONGEST_BYTES, Opened


@dataclass
class Window:
    """The text of `opened` from `at` on, as far as it has been read.

    Attributes:
        is_broken: whether `text` may hold bytes that are no text.
        damage: why the file ended too early, if it did.
    """

    opened: Opened
    text: str = ""
    at: int = 0
    is_broken: bool = False
    damage: Damage | None = None
    _is_over: bool = False
    _counted: tuple[int, int] = (0, 1)  # a place in `text`, and its line in the file

    def __post_init__(self) -> None:
        self._chunks = self.opened.chunks()
        self._decode = decoder(self.opened.text_encoding)

    def more(self) -> bool:
        """Let go of what lies before `at` and read on, as much as is held again; False at the end of the file."""
        if self._is_over or len(self.text) - self.at > LONGEST_BYTES:
            return False
        added = self._read(max(1, len(self.text) - self.at))
        if not added:
            return False  # all places in the text stay what they are
        self.let_go()
        self.text += added
        self.is_broken = not is_whole_text(self.text)
        return True

    def let_go(self) -> None:
        """Forget the text before `at`."""
        line = self.line_at(self.at)
        self.text, self.at, self._counted = self.text[self.at :], 0, (0, line)

    def skip(self, characters: str = SPACE) -> str:
        """Go on to the next character that is none of `characters`, and give it; nothing at the end of the file."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in characters:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def line_at(self, place: int) -> int:
        """The line of the file that `place` of the text lies in, counted from 1. Places only grow."""
        counted, line = self._counted
        if place > counted:
            line += self.text.count("\n", counted, place)
            self._counted = (place, line)
        return line

    def _read(self, num_characters: int) -> str:
        parts, total = [], 0
        while total < num_characters and not self._is_over:
            try:
                chunk = next(self._chunks, None)
            except Damage as damage:
                self.damage, chunk = damage, None
            self._is_over = chunk is None
            parts.append(self._decode(chunk or b"", self._is_over))
            total += len(parts[-1])
        return "".join(parts)
