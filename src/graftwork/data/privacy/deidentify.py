"""Find personal data in a text, and say what becomes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from types import MappingProxyType

from graftwork.core.errors import IntegrityError, Problem, SpecError
from graftwork.data.edits import Edit
from graftwork.data.privacy.asking import Asking
from graftwork.data.privacy.choice import chosen
from graftwork.data.privacy.key import Key
from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.preserve import stand_in
from graftwork.data.privacy.pseudonym import PLACEHOLDER, Pseudonyms
from graftwork.data.privacy.recogniser import Hit, Recogniser, bare, strongest
from graftwork.data.privacy.spec import PrivacySpec

LITERAL = "literal"
"""Kind of a text that looks like one of our placeholders and was there before: it gets one itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place with personal data.

    Attributes:
        kind: what it is: person, phone, email and so on.
        start: its first character.
        end: the character after its last.
        score: from 0 to 1, how sure the recogniser is.
    """

    kind: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What becomes of a text.

    Attributes:
        edits: what to change, in order, ready for `graftwork.data.edits.edited`.
        found: the personal data, in order, also where the mode is to drop.
        sealed: entries for the vault, one a placeholder; empty unless the mode is pseudonym.
    """

    edits: tuple[Edit, ...]
    found: tuple[Found, ...]
    sealed: Mapping[str, bytes]


class Deidentifier:
    """Finds personal data as a request says. It keeps nothing from one text to the next."""

    def __init__(self, spec: PrivacySpec, key: Key | None) -> None:
        """Raises SpecError when pseudonyms are asked for without a key, or the package of a model is missing."""
        if spec.mode == "pseudonym" and key is None:
            raise SpecError([Problem("key", None, "a key, with mode pseudonym", "Read it with read_key.")])
        self._spec = spec
        self._asking = Asking(chosen(spec.kinds, spec.models))
        self._pseudonyms = Pseudonyms(key) if key is not None and spec.mode == "pseudonym" else None
        self._allowed = _allowed(spec.allow)

    def find(self, text: str) -> list[Found]:
        """Personal data in `text`, in order, apart from each other."""
        return [Found(by.kind, hit.start, hit.end, hit.score) for hit, by in self._hits(text)]

    def clean(self, text: str) -> Cleaned:
        """What to change in `text`; with mode drop nothing, the caller sets the record aside if anything is found."""
        hits = self._hits(text)
        found = tuple(Found(by.kind, hit.start, hit.end, hit.score) for hit, by in hits)
        if self._spec.mode == "drop":
            return Cleaned((), found, MappingProxyType({}))
        if self._pseudonyms is None:
            return Cleaned(
                tuple(Edit(f.start, f.end, f"[{f.kind.upper()}]") for f in found), found, MappingProxyType({})
            )
        return self._with_pseudonyms(text, hits, found, self._pseudonyms)

    def _hits(self, text: str) -> list[tuple[Hit, Recogniser]]:
        page = Page(text)
        hits = [(hit, by) for by in self._asking.about(page) for hit in by.find(page)]
        if self._allowed is not None:
            hits = [(hit, by) for hit, by in hits if not self._is_allowed(text[hit.start : hit.end])]
        return strongest(hits) if len(hits) > 1 else hits

    def _is_allowed(self, written: str) -> bool:
        plain = folded(written).strip().lower()
        patterns = self._allowed
        return patterns is not None and bool(patterns.fullmatch(plain) or patterns.fullmatch(bare(plain).lower()))

    def _with_pseudonyms(
        self, text: str, hits: list[tuple[Hit, Recogniser]], found: tuple[Found, ...], pseudonyms: Pseudonyms
    ) -> Cleaned:
        sealed: dict[str, bytes] = {}
        literals = [(m.start(), m.end()) for m in PLACEHOLDER.finditer(text)]
        edits = []
        for start, end in literals:
            edits.append(
                Edit(start, end, pseudonyms.placeholder(LITERAL, text[start:end], text[start:end], text[start:end]))
            )
        for hit, by in hits:
            if all(hit.end <= start or end <= hit.start for start, end in literals):
                edits.append(Edit(hit.start, hit.end, self._replacement(text[hit.start : hit.end], by, pseudonyms)))
        for edit in edits:
            entry = pseudonyms.sealed(edit.replacement, text[edit.start : edit.end])
            if sealed.setdefault(edit.replacement, entry) != entry:
                raise IntegrityError(
                    f"two values share the placeholder {edit.replacement}. Use another key for this data."
                )
        edits.sort(key=lambda edit: edit.start)
        return Cleaned(tuple(edits), found, MappingProxyType(sealed))

    def _replacement(self, written: str, by: Recogniser, pseudonyms: Pseudonyms) -> str:
        canonical = by.canonical(written)
        if self._spec.style == "preserve" and (number := stand_in(pseudonyms, by.kind, canonical, written)):
            return number
        return pseudonyms.placeholder(by.kind, canonical, by.standard(canonical), written)


def _allowed(allow: tuple[str, ...]) -> re.Pattern[str] | None:
    """One pattern for all texts that are never touched, as written and without signs between."""
    plain = {folded(entry).strip().lower() for entry in allow}
    forms = plain | {bare(entry).lower() for entry in plain if "*" not in entry}
    return re.compile("|".join(f"(?:{translate(form)})" for form in sorted(forms))) if forms else None
