"""distractor: a sentence before the question that is right, harmless and about something else.

Taken is one that shares no long word (Chinese: no pair of characters) with the question or a possible answer.
"""

from random import Random

from graftwork.data.script import script_of
from graftwork.evaluation.metrics.text import ngrams, units
from graftwork.evaluation.perturbations.lists import DISTRACTORS_EN, DISTRACTORS_ZH
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Asked, Perturbation

LONG = 4
"""Letters of a word that may say what a text is about."""


def distractor(asked: Asked, drawn: Random) -> Asked | None:
    """The question after a sentence off its topic; None where each of them touches it."""
    is_latin = script_of(asked.question) in ("latin", "other")
    topics = _topics(" ".join((asked.question, *asked.answers)))
    sentences = DISTRACTORS_EN if is_latin else DISTRACTORS_ZH
    off_topic = [sentence for sentence in sentences if not topics & _topics(sentence)]
    if not off_topic:
        return None
    return asked.asking(drawn.choice(off_topic) + (" " if is_latin else "") + asked.question)


def _topics(text: str) -> set[str]:
    told = units(text)
    words = {unit for unit in told if len(unit) >= LONG}
    return words | {a + b for a, b in ngrams(told, 2) if not (a + b).isascii() and len(a + b) == 2}


PERTURBATIONS.add(
    "distractor",
    Perturbation(
        name="distractor",
        about="A harmless sentence about something else before the question.",
        scripts=("latin", "zh", "zh + latin"),
        severity="in the way",
        disturb=distractor,
    ),
)
