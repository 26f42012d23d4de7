"""Answers: what a model says to held-out prompts, and whether it is exactly right."""

from collections.abc import Sequence
from dataclasses import dataclass

from graftwork.data.records import Record
from graftwork.evaluation.estimate import Estimate, mean_of


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


def exact_answers(records: Sequence[Record], said: Sequence[str]) -> tuple[Estimate, list[Answered]]:
    """The share of `records`, at least two, that `said` answers word for word; both in the same order."""
    answered = [
        Answered(prompt=record.question, expected=record.answer, said=text)
        for record, text in zip(records, said, strict=True)
    ]
    return mean_of([float(one.is_exact) for one in answered]), answered
