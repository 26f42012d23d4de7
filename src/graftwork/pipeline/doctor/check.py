"""What one examination is and what it finds, and the catalog of them: one file each in `checks`. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from graftwork.core.catalog import Catalog

if TYPE_CHECKING:
    from graftwork.pipeline.doctor.patient import Patient

Verdict = Literal["passed", "warned", "failed", "does not apply"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        found: in a sentence or two for people, with the numbers.
        to_do: what to do about it; empty where nothing is to be done.
        details: the same as plain data, and more of it.
    """

    verdict: Verdict
    found: str
    to_do: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        order: where it stands among the others; the cheap ones come first.
        asks: the question that it answers.
        of_data: it looks at data alone, so it is made at every stage; the others where a training begins.
        examine: may raise what the package raises, which is then what it found.
    """

    name: str
    order: int
    asks: str
    of_data: bool
    examine: Callable[[Patient], Finding]


CHECKS: Catalog[Check] = Catalog("check of the doctor")


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """A check that was made.

    Attributes:
        stage: of several trainings which one; empty where there is one.
    """

    check: str
    asks: str
    stage: str
    seconds: float
    finding: Finding

    @property
    def data(self) -> dict[str, Any]:
        """As plain data."""
        told = {"check": self.check, "asks": self.asks, "stage": self.stage, "seconds": round(self.seconds, 3)}
        return {**told, **asdict(self.finding)}
