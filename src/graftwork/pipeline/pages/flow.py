"""The way of the rows through the steps: counted again here, so that a sum that is wrong is shown as wrong. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graftwork.pipeline.pages.figures import Stretch, fork, stretch
from graftwork.pipeline.pages.words import Both, term


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows were kept back at a step: its word, its name in the data, and of how many rows."""

    word: Both
    name: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step.

    Attributes:
        reasons: the most frequent first.
        adds_up: whether it got what the step before let go, and lets go what it got less what it kept back.
    """

    word: Both
    about: Both
    came_in: int
    went_on: int
    kept_back: int
    reasons: Sequence[Reason]
    adds_up: bool
    stretch: Stretch


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """All steps, and the two sides at their end.

    Attributes:
        width: how wide the stream still is at its end, of 100.
        sides_add_up: whether both sides together hold what the last step let go.
    """

    num_rows: int
    num_used: int
    num_kept_back: int
    steps: Sequence[Step]
    fork: Stretch
    width: float
    sides_add_up: bool

    @property
    def steps_add_up(self) -> bool:
        """Whether every step adds up."""
        return all(step.adds_up for step in self.steps)

    @property
    def whole_adds_up(self) -> bool:
        """Whether all rows are used or kept back."""
        return self.num_rows == self.num_used + self.num_kept_back

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.steps_add_up and self.sides_add_up and self.whole_adds_up


def flow_of(report: Mapping[str, Any]) -> Flow:
    """The flow that a report tells, checked."""
    total, train, evaluation = report["num_rows"], report["train"]["num_records"], report["evaluation"]["num_records"]
    steps, due = [], total
    for told in report["flow"]:
        steps.append(_step(told, due, total))
        due = told["out"]
    ribbon, width = fork(train, evaluation, total)
    return Flow(
        num_rows=total,
        num_used=train + evaluation,
        num_kept_back=sum(step.kept_back for step in steps),
        steps=steps,
        fork=ribbon,
        width=width,
        sides_add_up=due == train + evaluation,
    )


def _step(told: Mapping[str, Any], due: int, total: int) -> Step:
    came_in, went_on, why = told["in"], told["out"], told["quarantined"]
    kept_back = sum(why.values())
    ranked = sorted(why.items(), key=lambda item: (-item[1], item[0]))
    return Step(
        word=term("step", told["step"]),
        about=term("about", told["step"]),
        came_in=came_in,
        went_on=went_on,
        kept_back=kept_back,
        reasons=[Reason(term("reason", name), name, count) for name, count in ranked],
        adds_up=came_in == due and came_in - kept_back == went_on,
        stretch=stretch(came_in, went_on, total),
    )
