"""Answers: what a model says to held-out prompts, and whether it is exactly right. Pure: generating is given to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graftwork.data.records import Record
from graftwork.evaluation.estimate import Estimate, mean_of

Answer = Callable[[Sequence[Record]], Sequence[str]]
"""What the model under test says to each record's prompt, in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One record, what was said and what was expected."""

    prompt: str
    expected: str
    said: str

    @property
    def is_exact(self) -> bool:
        """Whether the two are the same text, white space at the ends aside."""
        return self.said.strip() == self.expected.strip()


def exact_answers(records: Sequence[Record], answer: Answer) -> tuple[Estimate, list[Answered]]:
    """The share of `records`, at least two, that is answered word for word."""
    answered = [
        Answered(prompt=record.question, expected=record.answer, said=said)
        for record, said in zip(records, answer(records), strict=True)
    ]
    return mean_of([float(one.is_exact) for one in answered]), answered
