"""Which recognisers are worth asking about a text: cheap questions first, since most texts hold little of each kind."""

from collections.abc import Iterable, Sequence

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import Recogniser

MOST = 19
"""No recogniser asks for more digits."""


class Asking:
    """Recognisers by what a text must have for them.

    All words that recognisers wait for are looked for in one pass; what the shape of a text rules out is worked out
    once a shape.
    """

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        import ahocorasick_rs

        self._recognisers = tuple(recognisers)
        waiting = [(word, by.name) for by in recognisers for word in by.words]
        self._owners = [name for _, name in waiting]
        self._words = ahocorasick_rs.AhoCorasick([word for word, _ in waiting])
        self._by_shape: dict[tuple[int, bool, bool, bool], tuple[list[Recogniser], list[Recogniser]]] = {}

    def about(self, page: Page) -> Iterable[Recogniser]:
        """The recognisers that may find something in `page`."""
        shape = (min(page.most_digits, MOST), page.is_han, page.is_latin, page.is_coded)
        groups = self._by_shape.get(shape)
        if groups is None:
            groups = self._by_shape[shape] = self._of_shape(*shape)
        always, waiting = groups
        if not waiting:
            return always
        held = {self._owners[word] for word, *_ in self._words.find_matches_as_indexes(page.lower, overlapping=True)}
        return [*always, *(by for by in waiting if by.name in held)] if held else always

    def _of_shape(
        self, most_digits: int, is_han: bool, is_latin: bool, is_coded: bool
    ) -> tuple[list[Recogniser], list[Recogniser]]:
        fit = [
            by
            for by in self._recognisers
            if most_digits >= by.min_digits
            and (is_han or not by.is_han)
            and (is_latin or not by.is_latin)
            and (is_coded or not by.is_coded)
        ]
        return [by for by in fit if not by.words], [by for by in fit if by.words]
