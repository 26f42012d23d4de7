"""Which facts of an answer its source does not support, by rules; a model that reads both may be asked beside them.

The rules know numbers, dates and names. They find what is written nowhere in the source; they do not understand: a
right number in a wrong sentence passes, a number that follows from others in the source does not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from graftwork.core.catalog import Catalog
from graftwork.data.facts.dates import Dated, dates
from graftwork.data.facts.names import names
from graftwork.data.facts.numbers import numbers

T = TypeVar("T")
Kind = Literal["number", "date", "name"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that an answer claims.

    Attributes:
        written: as the answer has it.
        is_supported: whether its source has it too.
    """

    kind: Kind
    written: str
    is_supported: bool


class Entailment(Protocol):
    """A model of natural language inference: says whether one text follows from another.

    It must give the same for the same texts, and may raise WorkError.
    """

    def follows(self, source: str, claim: str) -> bool:
        """Whether `claim`, an answer, follows from `source`."""
        ...


ENTAILMENTS: Catalog[Callable[[], Entailment]] = Catalog("entailment model")
"""None is shipped. One that is added here under a name can be asked for by `entailment` of the dimension `safety`."""


def facts(answer: str, source: str) -> list[Fact]:
    """The facts that rules find in `answer`, each once, and whether `source` has it.

    >>> told = facts("Paid 1200 on 5 March, says Ann Lee", "三月五日付款一千二百元")
    >>> [fact.written for fact in told if not fact.is_supported]
    ['Ann Lee']
    """
    dated, of_source = dates(answer), dates(source)
    rest = _without(answer, dated)
    known = {value for part in (source, _without(source, of_source)) for value, _ in numbers(part, every=True)}
    known |= {str(part) for d in of_source for part in (d.day.year, d.day.month, d.day.day) if part is not None}
    plain = source.casefold()
    return [
        *(Fact("date", answer[d.start : d.end], any(o.day.says(d.day) for o in of_source)) for d in dated),
        *(Fact("number", written, value in known) for value, written in _each_once(numbers(rest))),
        *(Fact("name", written, all(p in plain for p in pieces)) for written, pieces in _each_once(names(rest))),
    ]


def _each_once(found: Iterable[T]) -> Iterable[T]:
    return dict.fromkeys(found)


def _without(text: str, dated: Iterable[Dated]) -> str:
    """`text` with a new line in the place of each date, so that its numbers are not taken for other facts."""
    for one in reversed(list(dated)):
        text = f"{text[: one.start]}\n{text[one.end :]}"
    return text
