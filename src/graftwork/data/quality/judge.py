"""What becomes of one record: every check in turn, repairs first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftwork.data.quality.check import CHECKS, Quarantined, Repaired

if TYPE_CHECKING:
    from graftwork.data.quality.spec import QualitySpec
    from graftwork.data.records import Record


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a record.

    Attributes:
        record: after all repairs; None when it is quarantined.
        repairs: the checks that changed it and how, in order.
        quarantined: why it is set aside.
    """

    record: Record | None
    repairs: tuple[tuple[str, str], ...] = ()
    quarantined: Quarantined | None = None


class Judge:
    """Applies the record checks of `spec` that are not off. Can be sent to another process."""

    def __init__(self, spec: QualitySpec) -> None:
        settings = dict(spec)
        checks = sorted((CHECKS[name] for name in CHECKS), key=lambda check: check.place)
        self._steps = [(check, settings[check.name]) for check in checks if settings[check.name] != "off"]

    def __call__(self, record: Record) -> Judged:
        """What becomes of `record`; the first check that finds fault with it decides."""
        repairs: list[tuple[str, str]] = []
        for check, settings in self._steps:
            decision = check.decide(settings, record)
            if isinstance(decision, Repaired):
                record = decision.record
                repairs.append((check.name, decision.how))
            elif decision is not None:
                return Judged(None, tuple(repairs), decision)
        return Judged(record, tuple(repairs))
