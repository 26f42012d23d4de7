"""What a perturbation is: a change of a prompt that leaves its meaning and its answer alone; and the catalog of them.

What is drawn is drawn from the seed, the perturbation's name and the item's id, never from order: the same item is
disturbed in the same way in every run, alone or among others.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from random import Random
from typing import Literal

from graftwork.core.catalog import Catalog
from graftwork.core.digests import digest
from graftwork.data.script import script_of
from graftwork.evaluation.item import Prompt
from graftwork.evaluation.perturbations.protect import ALL, Part, Span, protected

Severity = Literal["unseen", "seen", "in the way"]
"""unseen: most readers notice nothing. seen: they notice, and read on. in the way: they have to look past it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A prompt with its right answer.

    Attributes:
        labels: all possible answers, where the data has a small closed set of them; never touched in a prompt.
        moved: of an answer to the prompt before it was disturbed, the same answer after; another one where options
            have changed their letters.
    """

    prompt: Prompt
    expected: str
    labels: tuple[str, ...] = ()
    moved: Callable[[str], str] = str

    @property
    def question(self) -> str:
        """What the user says last; empty if someone else speaks last."""
        last = self.prompt[-1] if self.prompt else {}
        return last["content"] if last.get("role") == "user" else ""

    def asking(self, question: str) -> "Asked":
        """The same with another last turn."""
        return replace(self, prompt=(*self.prompt[:-1], {**self.prompt[-1], "content": question}))

    @property
    def answers(self) -> tuple[str, ...]:
        """The right answer and all other possible ones."""
        return tuple(dict.fromkeys((self.expected, *self.labels)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbation:
    """One kind of disturbance.

    Attributes:
        scripts: of the question, in the words of `data.script`, that it is for.
        severity: how much of it a reader notices.
        disturb: the disturbed prompt, or None where nothing can be; everything drawn comes from the generator.
        keeps: parts of the question that stay letter for letter.
        is_idempotent: what is disturbed already cannot be disturbed again.
        needs: a package that it works with and that is not installed by default.
        fold: of two answers that are compared, what is not their difference, such as traditional characters.
    """

    name: str
    about: str
    scripts: tuple[str, ...]
    severity: Severity
    disturb: Callable[[Asked, Random], Asked | None]
    keeps: frozenset[Part] = ALL
    is_idempotent: bool = False
    needs: str = ""
    fold: Callable[[str], str] = str

    @property
    def is_at_hand(self) -> bool:
        """Whether the package that it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None


PERTURBATIONS: Catalog[Perturbation] = Catalog("perturbation")
INSTALL = "pip install 'graftwork[evaluation]'"
"""Gets what perturbations need."""


def disturbed(perturbation: Perturbation, asked: Asked, *, seed: int, item: str) -> Asked | None:
    """`asked` after a perturbation; None where it does not apply, changes nothing, or would hurt what it must keep."""
    if not asked.question or script_of(asked.question) not in perturbation.scripts:
        return None
    drawn = Random(int(digest([seed, perturbation.name, item])[:16], 16))
    after = perturbation.disturb(asked, drawn)
    if after is None or after.prompt == asked.prompt:
        return None
    return after if keeps_parts(perturbation, asked, after) else None


def keeps_parts(perturbation: Perturbation, before: Asked, after: Asked) -> bool:
    """Whether every part that the perturbation keeps stands in the new question as often as before."""
    question = before.question
    spans = protected(question, perturbation.keeps, before.answers)
    return all(
        after.question.count(part) >= count
        for part, count in Counter(question[start:end] for start, end in spans).items()
    )


def on_question(
    edit: Callable[[str, list[Span], Random], str | None], keeps: frozenset[Part] = ALL
) -> Callable[[Asked, Random], Asked | None]:
    """A disturbance of the last question's text, given with the places that `edit` must not touch."""

    def disturb(asked: Asked, drawn: Random) -> Asked | None:
        text = asked.question
        edited = edit(text, protected(text, keeps, asked.answers), drawn)
        return None if edited is None else asked.asking(edited)

    return disturb
