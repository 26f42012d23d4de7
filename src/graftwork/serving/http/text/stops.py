"""Stop strings: where an answer ends, whatever tokens it comes in. Pure but for what is held back."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Lets text through up to the first stop string that is complete; never a part of one.

    What came is the same however the text was cut: as if it had come character by character.

    >>> stops = StopStrings(["END"])
    >>> [stops.push(text) for text in ("one E", "N", "E", "ND two")], stops.is_hit
    (['one ', '', 'EN', ''], True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held = tuple(stops), ""
        self.is_hit = False

    def push(self, text: str) -> str:
        """What can be told now."""
        if self.is_hit or not text:
            return ""
        text = self._held + text
        if ends := [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]:
            self.is_hit, self._held = True, ""
            return text[: min(ends)[1]]
        kept = self._num_held(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def rest(self) -> str:
        """What was held back, when nothing more will come."""
        text, self._held = self._held, ""
        return text

    def _num_held(self, text: str) -> int:
        """Length of the longest end of `text` that a stop string begins with."""
        longest = min(max(map(len, self._stops), default=1) - 1, len(text))
        for num in range(longest, 0, -1):
            if any(stop.startswith(text[-num:]) for stop in self._stops):
                return num
        return 0
