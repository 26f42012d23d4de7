"""Who watches a run: told what goes on, and asked whether to stop."""

from typing import Protocol

from graftwork.training.report import StepReport
from graftwork.training.stopping import Look


class Watch(Protocol):
    """What a run tells whoever started it. Nothing here may raise."""

    def say(self, text: str) -> None:
        """One line about what goes on."""

    def preparing(self, label: str, done: int, total: int) -> None:
        """Data: `done` of `total`, in bytes while reading and in records later."""

    def training(self, done: int, total: int) -> None:
        """Training begins, `done` of `total` steps already there."""

    def step(self, report: StepReport) -> None:
        """A step is done."""

    def looked(self, look: Look) -> None:
        """The held-out loss was looked at while training."""

    def evaluating(self, label: str, done: int, total: int) -> None:
        """Evaluation: `done` of `total` records."""

    def should_stop(self) -> bool:
        """Whether to save and leave after this step."""


class Quiet:
    """A watch that says nothing and never stops a run."""

    def say(self, text: str) -> None:
        """Nothing."""

    def preparing(self, label: str, done: int, total: int) -> None:
        """Nothing."""

    def training(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""

    def looked(self, look: Look) -> None:
        """Nothing."""

    def evaluating(self, label: str, done: int, total: int) -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False
