"""Length: questions and answers that are too short or too long, in characters."""

from typing import Self

from pydantic import Field, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined
from graftwork.data.records import Record


class LengthSpec(Spec):
    """How long questions and answers may be. Records of plain text have only an answer."""

    min_question: int = Field(default=1, ge=0)
    """Fewest characters of the last question."""

    max_question: int = Field(default=1_000_000, ge=1)
    """Most characters of the last question."""

    min_answer: int = Field(default=1, ge=0)
    """Fewest characters of the answer."""

    max_answer: int = Field(default=1_000_000, ge=1)
    """Most characters of the answer. What is too long in tokens for training is told later, by data.max_tokens."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        pairs = (("question", self.min_question, self.max_question), ("answer", self.min_answer, self.max_answer))
        wrong = [
            Problem(f"max_{of}", most, f"a value >= min_{of} = {least}", "No record could be kept.")
            for of, least, most in pairs
            if most < least
        ]
        if wrong:
            raise SpecError(wrong)
        return self


def decide(spec: LengthSpec, record: Record) -> Decision:
    """Quarantined when the question or the answer is too short or too long."""
    limits = [("answer", len(record.answer), spec.min_answer, spec.max_answer)]
    if record.prompt:
        limits.append(("question", len(record.question), spec.min_question, spec.max_question))
    for of, length, least, most in limits:
        if length < least:
            return Quarantined("length", f"the {of} has {length:,} characters; {least:,} are the least (min_{of})")
        if length > most:
            return Quarantined("length", f"the {of} has {length:,} characters; {most:,} are the most (max_{of})")
    return None


CHECKS.add(
    "length",
    Check(
        name="length",
        place=40,
        about="Sets aside records whose question or answer is too short or too long.",
        spec=LengthSpec,
        default=LengthSpec(),
        decide=decide,
    ),
)
