"""Empty: records in which nothing is said, or nothing asked."""

import re
from unicodedata import category

from graftwork.core.spec import Spec
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined
from graftwork.data.records import Record

LETTER_OR_DIGIT = re.compile(r"[^\W_]")


class EmptySpec(Spec):
    """What counts as nothing said."""

    allowed: tuple[str, ...] = ()
    """Answers that are only punctuation and yet right, such as "?" where a mark is to be predicted."""

    questions: bool = True
    """Whether a record whose questions are all empty is set aside too."""


def decide(spec: EmptySpec, record: Record) -> Decision:
    """Quarantined when the answer has no letter, digit or symbol, or when nothing is asked."""
    if not LETTER_OR_DIGIT.search(record.answer) and not _says_something(record.answer):
        answer = record.answer.strip()
        if not answer:
            return Quarantined("empty", "the answer is empty")
        if answer not in spec.allowed:
            detail = f"the answer is only punctuation, {answer[:20]!r}; name it if it is right (allowed)"
            return Quarantined("empty", detail)
    asked = [turn["content"] for turn in record.prompt if turn["role"] == "user"]
    if spec.questions and asked and not any(content.strip() for content in asked):
        return Quarantined("empty", "the question is empty; it need not be there (questions)")
    return None


def _says_something(answer: str) -> bool:
    """Whether there is a symbol: + and an emoji are answers."""
    return any(category(character)[0] == "S" for character in answer)


CHECKS.add(
    "empty",
    Check(
        name="empty",
        place=30,
        about="Sets aside records without an answer or a question.",
        spec=EmptySpec,
        default=EmptySpec(),
        decide=decide,
    ),
)
