"""Lists of sensitive words, all looked for in one pass over each reading of a text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from graftwork.core.errors import NotFoundError, Problem, SpecError
from graftwork.data.lexicons.folding import folded, readings

SHIPPED = ("en", "zh")
LETTER = re.compile(r"[^\W_]")
LATIN = re.compile(r"[a-z0-9]")
LEAST_SPELT = 4
"""Letters of a word that is looked for within a run of single letters; shorter ones stand there by chance."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A word of a list, as it is written there.

    Attributes:
        topic: the heading it stands under.
    """

    word: str
    topic: str


class Lexicon:
    """Finds the words of its lists in a text. It keeps nothing from one text to the next."""

    def __init__(self, words: Iterable[Listed]) -> None:
        import ahocorasick_rs

        by_form: dict[str, Listed] = {}
        for listed in words:
            by_form.setdefault(folded(listed.word).strip(), listed)
        by_form.pop("", None)
        self._forms = list(by_form)
        self._listed = list(by_form.values())
        self._matcher = ahocorasick_rs.AhoCorasick(self._forms)

    def __len__(self) -> int:
        return len(self._forms)

    def found(self, text: str) -> frozenset[Listed]:
        """The words that stand in `text`, however they are written there.

        >>> lexicon = Lexicon([Listed("darn", "mild"), Listed("笨蛋", "mild")])
        >>> sorted(one.word for one in lexicon.found("D@rn it, 笨*蛋! Darning is fine."))
        ['darn', '笨蛋']
        """
        read = readings(text)
        whole = (self._listed[i] for one in read.whole for i, start, end in self._hits(one) if _stands(one, start, end))
        spelt = (self._listed[i] for one in read.spelt for i, *_ in self._hits(one) if self._is_long(i))
        return frozenset([*whole, *spelt])

    def _hits(self, text: str) -> Iterable[tuple[int, int, int]]:
        hits: list[tuple[int, int, int]] = self._matcher.find_matches_as_indexes(text, overlapping=True)
        return hits

    def _is_long(self, index: int) -> bool:
        return len(self._forms[index]) >= LEAST_SPELT


def _stands(text: str, start: int, end: int) -> bool:
    """Whether a word is not part of a longer one; Chinese has no borders between words."""
    begins = start == 0 or not (LATIN.match(text[start]) and LATIN.match(text[start - 1]))
    ends = end == len(text) or not (LATIN.match(text[end - 1]) and LATIN.match(text[end]))
    return begins and ends


def shipped(languages: Iterable[str]) -> list[Listed]:
    """The words of the lists that come with graftwork."""
    folder = files(__package__) / "lists"
    return [one for language in languages for one in listed((folder / f"{language}.txt").read_text("utf-8"), language)]


def read_list(path: str) -> list[Listed]:
    """The words of a list of one's own: UTF-8, one a line, under [headings] if wanted; # begins a remark.

    Raises:
        NotFoundError: no such file.
        SpecError: it is no text, or holds no word, or one that would be found in every text.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = f"At byte {error.start} it is none."
        raise SpecError([Problem("lexicons", path, "a text file in UTF-8", hint)]) from error
    except OSError as error:
        raise NotFoundError(f"lexicons = {path!r}: {error.strerror}.") from error
    words = listed(text, Path(path).stem)
    short = [one.word for one in words if len(LETTER.findall(folded(one.word))) < 2]
    if short:
        expected, hint = f"words of two characters or more in {path}", "Shorter ones stand in texts by chance."
        raise SpecError([Problem("lexicons", word, expected, hint) for word in short])
    if not words:
        raise SpecError([Problem("lexicons", path, "one word a line", "The file holds none.")])
    return words


def listed(text: str, topic: str) -> list[Listed]:
    """The words in the text of a list, each with the heading it stands under, or `topic`."""
    words: list[Listed] = []
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("[") and word.endswith("]"):
            topic = word.strip("[]")
        elif word and not word.startswith("#"):
            words.append(Listed(word, topic))
    return words
