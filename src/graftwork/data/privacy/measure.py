"""How much of labelled personal data is found, and how much of what is found is none."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt

from graftwork.data.privacy.deidentify import Deidentifier, Found

CHECKED = frozenset({"resident_id", "credit_code", "bank_card", "iban", "hong_kong_id", "taiwan_id", "email", "phone"})
BAR_CHECKED, BAR_NAMES, BAR_ALL, BAR_PRECISION = 0.99, 0.85, 0.95, 0.97
"""Least recall of kinds with a checksum, e-mail and telephone; of names; of all but addresses; least precision."""

COMPATIBLE = {"phone": frozenset({"social_id"}), "social_id": frozenset({"phone", "email"})}
"""A WeChat account may be a telephone number: found as either, it is found."""

TRIM = " \t\n\u3000,.;:!?，。；：！？、\"'“”‘’()（）"
Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Label:
    """A place that holds personal data of one kind."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Case:
    """A text with all the personal data in it labelled; one without labels must be left alone."""

    text: str
    language: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `num` with the interval that holds it with 95 % confidence (Wilson)."""

    num_right: int
    num: int

    @property
    def value(self) -> float | None:
        """The share, from 0 to 1; None of nothing."""
        return self.num_right / self.num if self.num else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the true share lies.

        >>> tuple(round(end, 3) for end in Rate(99, 100).interval)
        (0.946, 0.998)
        """
        if not self.num:
            return None
        share, square = self.num_right / self.num, Z95**2
        middle = share + square / (2 * self.num)
        width = Z95 * sqrt(share * (1 - share) / self.num + square / (4 * self.num**2))
        scale = 1 + square / self.num
        return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind in one language.

    Attributes:
        recall: labels that something found of a compatible kind covers wholly, of all labels.
        precision: what was found that touches a label, of all that was found.
    """

    kind: str
    language: str
    recall: Rate
    precision: Rate
    bar: float | None

    @property
    def passes(self) -> bool:
        """Whether recall reaches its bar; without one, or without labels, it does."""
        return self.bar is None or self.recall.value is None or self.recall.value >= self.bar


@dataclass(frozen=True, slots=True)
class Measures:
    """Every kind in every language, and all together: `all` with every label, `all_but_addresses` without those."""

    num_cases: int
    rows: tuple[Measure, ...]
    misses: tuple[str, ...] = ()
    """Some of what was missed: `kind: text in its surroundings`."""

    false_alarms: tuple[str, ...] = ()
    """Some of what was found and is none."""

    def row(self, kind: str, language: str) -> Measure:
        """The row of a kind; a KeyError when there is none."""
        for row in self.rows:
            if (row.kind, row.language) == (kind, language):
                return row
        raise KeyError(f"{kind} in {language}")


def measured(cases: Iterable[Case], deidentifier: Deidentifier) -> Measures:
    """Run `deidentifier` over `cases` and count.

    A label is found when one thing found of its kind, or of a kind that cannot be told from it, covers it but for
    punctuation and spaces at its ends. A false alarm is a thing found that touches no label.
    """
    tally = _Tally()
    num_cases = 0
    for case in cases:
        num_cases += 1
        tally.add(case, deidentifier.find(case.text))
    languages = sorted({language for _, language in tally.labels} | {language for _, language in tally.found})
    rows = [row for language in languages for row in tally.rows(language)]
    return Measures(num_cases, tuple(rows), tuple(tally.misses), tuple(tally.alarms))


class _Tally:
    """Counts by kind and language."""

    SHOWN = 400

    def __init__(self) -> None:
        self.labels: Counter[tuple[str, str]] = Counter()
        self.hits: Counter[tuple[str, str]] = Counter()
        self.found: Counter[tuple[str, str]] = Counter()
        self.right: Counter[tuple[str, str]] = Counter()
        self.misses: list[str] = []
        self.alarms: list[str] = []

    def add(self, case: Case, found: list[Found]) -> None:
        for label in case.labels:
            key = (label.kind, case.language)
            self.labels[key] += 1
            if any(_covers(case.text, label, f) for f in found):
                self.hits[key] += 1
            elif len(self.misses) < self.SHOWN:
                self.misses.append(_shown(label.kind, case.text, label.start, label.end))
        for f in found:
            self.found[f.kind, case.language] += 1
            if any(f.start < label.end and label.start < f.end for label in case.labels):
                self.right[f.kind, case.language] += 1
            elif len(self.alarms) < self.SHOWN:
                self.alarms.append(_shown(f.kind, case.text, f.start, f.end))

    def rows(self, language: str) -> Iterable[Measure]:
        kinds = sorted({kind for kind, of in (*self.labels, *self.found) if of == language})
        for kind in kinds:
            yield self._row(kind, language, [kind], _bar(kind))
        yield self._row("all_but_addresses", language, [kind for kind in kinds if kind != "address"], BAR_ALL)
        yield self._row("all", language, kinds, None)

    def _row(self, name: str, language: str, kinds: list[str], bar: float | None) -> Measure:
        def total(counts: Mapping[tuple[str, str], int]) -> int:
            return sum(counts.get((kind, language), 0) for kind in kinds)

        recall = Rate(total(self.hits), total(self.labels))
        return Measure(name, language, recall, Rate(total(self.right), total(self.found)), bar)


def _bar(kind: str) -> float | None:
    if kind == "address":
        return None
    return BAR_CHECKED if kind in CHECKED else BAR_NAMES if kind == "person" else None


def _covers(text: str, label: Label, found: Found) -> bool:
    if found.kind != label.kind and found.kind not in COMPATIBLE.get(label.kind, ()):
        return False
    start, end = label.start, label.end
    while start < end and text[start] in TRIM:
        start += 1
    while end > start and text[end - 1] in TRIM:
        end -= 1
    return found.start <= start and end <= found.end


def _shown(kind: str, text: str, start: int, end: int) -> str:
    around = f"{text[max(0, start - 14) : start]}<{text[start:end]}>{text[end : end + 14]}"
    return f"{kind}: {around}".replace("\n", "/")
