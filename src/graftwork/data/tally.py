"""What became of every row, counted: sums that add up, and a few examples of each decision. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS = ("read", "layout", "quality", "privacy", "template", "all records")
"""Where a row can be kept back, in this order."""

SHOWN = 3
"""Examples kept of each decision."""

Key = tuple[str, str]
"""A step, and the reason or the kind of repair there."""


@dataclass(slots=True)
class Tally:
    """Counts over rows; counts of parts are added up.

    Attributes:
        num_rows: rows seen, good or bad.
        rows_by_file: the same by file.
        usable_by_file: records that can be used, as far as each is looked at alone.
        repaired: repairs by step and kind.
        quarantined: rows by step and reason.
        personal: finds of personal data by kind.
        num_personal: records that hold any.
        languages: records kept, by script.
        examples: for each decision, what it looked like; after de-identification.
        num_read_back: records whose tokens were turned into text again.
        num_unread: those of them whose text was another.
        num_lost: targets that are in no row; 0 unless something is wrong.
    """

    num_rows: int = 0
    rows_by_file: Counter[str] = field(default_factory=Counter)
    usable_by_file: Counter[str] = field(default_factory=Counter)
    repaired: Counter[Key] = field(default_factory=Counter)
    quarantined: Counter[Key] = field(default_factory=Counter)
    personal: Counter[str] = field(default_factory=Counter)
    num_personal: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    examples: dict[Key, list[Mapping[str, Any]]] = field(default_factory=dict)
    num_read_back: int = 0
    num_unread: int = 0
    num_lost: int = 0

    def add(self, other: "Tally") -> None:
        """Count what `other` counted too."""
        for name in ("num_rows", "num_personal", "num_read_back", "num_unread", "num_lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("repaired", "quarantined", "personal", "languages", "rows_by_file", "usable_by_file"):
            getattr(self, name).update(getattr(other, name))
        for key, examples in other.examples.items():
            self.examples[key] = [*self.examples.get(key, ()), *examples][:SHOWN]

    def show(self, key: Key, example: Callable[[], Mapping[str, Any]]) -> None:
        """Keep what `example` makes, if there are not enough yet."""
        shown = self.examples.setdefault(key, [])
        if len(shown) < SHOWN:
            shown.append(example())

    @property
    def num_quarantined(self) -> int:
        """Rows kept back, over all steps."""
        return self.quarantined.total()


def flow(tally: Tally) -> list[dict[str, Any]]:
    """For each step: rows that came in, repairs, rows kept back by reason, rows that went on. What goes out of one step
    comes into the next."""
    steps, going = [], tally.num_rows
    for step in STEPS:
        kept_back = {reason: n for (at, reason), n in sorted(tally.quarantined.items()) if at == step}
        repaired = {how: n for (at, how), n in sorted(tally.repaired.items()) if at == step}
        left = going - sum(kept_back.values())
        steps.append({"step": step, "in": going, "repaired": repaired, "quarantined": kept_back, "out": left})
        going = left
    return steps
