"""Labelled test texts made by rule from a seed: service, medical, bank, contract, court, government and chat texts.

One case in four holds no personal data but much that looks like it. Names come from a list of their own: many of its
given names and surnames are in no list of a recogniser, so that recall speaks for names not seen before.
"""

import re
from random import Random

from graftwork.core.errors import Problem, SpecError
from graftwork.data.privacy.labelled_values import VALUES
from graftwork.data.privacy.lists import sections
from graftwork.data.privacy.measure import Case, Label

LANGUAGES = ("zh", "en")
NEGATIVE_FRAC = 0.25
SLOT = re.compile(r"\{(\w+)\}|#")


def labelled(language: str, *, seed: int, num_cases: int) -> list[Case]:
    """`num_cases` cases in `language` (zh or en), the same for the same seed.

    Raises:
        SpecError: another language, or fewer than one case.
    """
    if language not in LANGUAGES:
        raise SpecError([Problem("language", language, f"one of {', '.join(LANGUAGES)}")])
    if num_cases < 1:
        raise SpecError([Problem("num_cases", num_cases, "a value >= 1", "2000 cases are usual.")])
    random = Random(f"{language} {seed}")
    templates = sections("templates.txt")
    kinds = (templates[language], templates[f"{language} negative"])
    return [filled(random.choice(kinds[random.random() < NEGATIVE_FRAC]), language, random) for _ in range(num_cases)]


def filled(template: str, language: str, random: Random) -> Case:
    """A template with random values in place of its braces, labelled, and digits in place of #."""
    parts: list[str] = []
    labels: list[Label] = []
    length = at = 0
    template = template.replace("\\n", "\n")
    for match in SLOT.finditer(template):
        before = template[at : match.start()]
        at = match.end()
        slot = match.group(1)
        value = VALUES[slot][1](random) if slot else random.choice("0123456789")
        if slot:
            start = length + len(before)
            labels.append(Label(VALUES[slot][0], start, start + len(value)))
        parts += [before, value]
        length += len(before) + len(value)
    return Case("".join([*parts, template[at:]]), language, tuple(labels))
