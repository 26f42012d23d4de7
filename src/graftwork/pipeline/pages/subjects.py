"""What the subjects of an evaluation are called on a page, and which colour is theirs. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graftwork.evaluation.result import Kind, Subject
from graftwork.pipeline.pages.words import Both, term


@dataclass(frozen=True, slots=True)
class Called:
    """A subject on a page.

    Attributes:
        word: what readers call it: its kind, or its name where there are several of that kind.
        said: the same in a sentence.
        kind: also the name of its colour.
    """

    name: str
    word: Both
    said: Both
    kind: Kind


def called(subjects: Iterable[Subject]) -> Mapping[str, Called]:
    """Every subject by its name, in their order."""
    told = tuple(subjects)
    number = Counter(one.kind for one in told)

    def word(group: str, one: Subject) -> Both:
        return term(group, one.kind) if number[one.kind] == 1 else (one.name, one.name)

    return {
        one.name: Called(name=one.name, word=word("subject", one), said=word("sentence", one), kind=one.kind)
        for one in told
    }


def main_subject(subjects: Iterable[Subject]) -> Subject | None:
    """Whom the report is about: the first adapter, else what was tuned whole."""
    told = tuple(subjects)
    return next((one for kind in ("adapter", "full") for one in told if one.kind == kind), None)
