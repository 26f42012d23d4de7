"""frame: the question said with other words around it: "Please answer this: ...", "我想请教一下：……".

None asks for a form, a length or a language of the answer, and none names a possible answer.
"""

from collections.abc import Sequence
from random import Random

from graftwork.data.script import script_of
from graftwork.evaluation.perturbations.lists import FRAMES_EN, FRAMES_ZH
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Span


def frame(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` within one of the frames of its language."""
    before, after = drawn.choice(FRAMES_EN if script_of(text) in ("latin", "other") else FRAMES_ZH)
    return before + text + after


PERTURBATIONS.add(
    "frame",
    Perturbation(
        name="frame",
        about="Other words of request around the same question.",
        scripts=("latin", "zh", "zh + latin", "other"),
        severity="unseen",
        disturb=on_question(frame),
    ),
)
