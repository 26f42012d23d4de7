"""The result of an evaluation: what was measured, how subjects differ, and what may be said about it. Pure.

Made by `summary.summarised`, or by hand for what is measured rather than asked (latencies, bytes). `told` gives it as
plain data for JSON, `read` takes that back. All numbers are finite; what could not be had is None and has a note.

    EvaluationResult
    |-- subjects            who was evaluated
    |-- dimensions
    |   |-- metrics         one number each
    |   |   |-- values      of every subject, with interval and slices
    |   |   `-- comparisons of pairs of subjects
    |   |-- verdicts        of pairs of subjects, from the main metrics
    |   |-- changed         items that got better, items that got worse
    |   `-- notes
    |-- verdicts            over all dimensions
    |-- manifest, notes
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from graftwork.core.errors import IntegrityError

FORMAT: Literal[1] = 1
NO_INTERVAL = "no interval: "
"""How a reason begins."""
_CHECKED = ConfigDict(extra="forbid", allow_inf_nan=False)

Kind = Literal["base", "below", "adapter", "full"]
Verdict = Literal["better", "not worse", "worse", "not shown"]
"""Of a subject beside its reference.

better: a difference for the better that chance does not explain, all main metrics taken together (Holm).
not worse: if it is worse at all, then by less than the margin.
worse: a difference for the worse that chance does not explain, and that may be as large as the margin.
not shown: too few items to say any of these; `needed_items` says how many would do.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Who is evaluated.

    Attributes:
        name: unique in this result, such as "base", "adapter", "full" or a path.
        kind: below: what an adapter stands on, without itself. full: the model tuned whole.
        digest: of its weights; empty for what has none on record.
        about: a few words for people.
    """

    __pydantic_config__ = _CHECKED

    name: str
    kind: Kind
    digest: str = ""
    about: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A number with its interval.

    Attributes:
        low: lower end of the interval; None, with `high`, where there is no spread to tell it from, or too few groups.
        level: share of such intervals that hold the true value.
        num_groups: groups of items that depend on each other; equal to `num_items` when all stand alone.
        by: how the interval was found, in words.
    """

    __pydantic_config__ = _CHECKED

    value: float
    low: float | None
    high: float | None
    num_items: int
    num_groups: int
    level: float = 0.95
    by: str = ""

    @property
    def why_none(self) -> str:
        """Why there is no interval; empty where there is one, and where none is to be had of what was counted."""
        return self.by if self.low is None and self.by.startswith(NO_INTERVAL) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A metric of one subject on a part of the items: those whose slice `name` is `value`."""

    __pydantic_config__ = _CHECKED

    name: str
    value: str
    measured: Measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A metric of one subject.

    Attributes:
        worst: of the slices that are large enough to say so, the one with the worst number.
        num_unscored: items that gave another subject a number of this metric and this subject none.
    """

    __pydantic_config__ = _CHECKED

    subject: str
    measured: Measured
    slices: tuple[Slice, ...] = ()
    worst: Slice | None = None
    num_unscored: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A subject beside its reference, on the items that both have.

    Attributes:
        difference: subject minus reference, in the metric's unit; whether more is better says the metric.
        low: lower end of its interval of `level`; None, with `high`, where there is no spread to tell it from.
        p: chance of a difference as large or larger, either way, if there were none; None where it was not tested.
        p_adjusted: the same, Holm over the main metrics of all dimensions (other metrics: over those).
        margin: what it may be worse by and still be called not worse; None where nothing was asked.
        bound: what it is worse by at most, with a certainty of 1 - `alpha`; negative if it is better for sure.
        p_not_worse: chance of data as good or better if it were worse by the margin; below `alpha`: not worse.
        smallest_shown: smallest true difference that this many items show with a chance of 80 %.
        needed_items: items to show "not worse" with a chance of 80 % if there is no difference; None where unknown.
        by: interval and tests, in words.
    """

    __pydantic_config__ = _CHECKED

    subject: str
    reference: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    margin: float | None
    bound: float | None
    p_not_worse: float | None
    verdict: Verdict
    smallest_shown: float | None
    needed_items: int | None
    num_items: int
    num_groups: int
    num_better: int
    num_worse: int
    level: float = 0.95
    alpha: float = 0.025
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricResult:
    """One number of a dimension, for all subjects; the first attributes are those of `dimension.Metric`."""

    __pydantic_config__ = _CHECKED

    name: str
    unit: str
    better: Literal["more", "less"]
    about: str
    is_share: bool = False
    is_main: bool = False
    values: tuple[Value, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    def of(self, subject: str) -> Value | None:
        """The value of that subject, if it has one."""
        return next((value for value in self.values if value.subject == subject), None)

    def between(self, subject: str, reference: str) -> Comparison | None:
        """The comparison of those two, if they were compared."""
        wanted = (subject, reference)
        return next((one for one in self.comparisons if (one.subject, one.reference) == wanted), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairVerdict:
    """What may be said of a subject beside its reference, and why: a sentence that names the metrics."""

    __pydantic_config__ = _CHECKED

    subject: str
    reference: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """An item that the subject does better or worse than the reference, in one metric.

    Attributes:
        before: the reference's score of it, total over weight.
        after: the subject's.
        asked, expected, said_before, said_after: its texts, for people; empty where there are none.
    """

    __pydantic_config__ = _CHECKED

    item: str
    metric: str
    subject: str
    reference: str
    is_better: bool
    before: float
    after: float
    origin: str = ""
    asked: str = ""
    expected: str = ""
    said_before: str = ""
    said_after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DimensionResult:
    """One dimension: its metrics, what follows from them, and items to look at."""

    __pydantic_config__ = _CHECKED

    name: str
    about: str = ""
    num_items: int = 0
    metrics: tuple[MetricResult, ...] = ()
    verdicts: tuple[PairVerdict, ...] = ()
    changed: tuple[Changed, ...] = ()
    notes: tuple[str, ...] = ()

    def metric(self, name: str) -> MetricResult | None:
        """The metric of that name, if the dimension has it."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationResult:
    """All that an evaluation found.

    Attributes:
        verdicts: over all dimensions that compare; one for each pair of subjects.
        manifest: for each subject what it was evaluated with (`certificate.manifest`), as plain data.
        notes: what was left out, and why, in sentences.
    """

    __pydantic_config__ = _CHECKED

    subjects: tuple[Subject, ...]
    dimensions: tuple[DimensionResult, ...] = ()
    verdicts: tuple[PairVerdict, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    format: Literal[1] = FORMAT

    def dimension(self, name: str) -> DimensionResult | None:
        """The dimension of that name, if it was evaluated."""
        return next((dimension for dimension in self.dimensions if dimension.name == name), None)

    def subject(self, name: str) -> Subject | None:
        """The subject of that name, if there is one."""
        return next((subject for subject in self.subjects if subject.name == name), None)


def pairs_of(subjects: Iterable[Subject]) -> tuple[tuple[str, str], ...]:
    """Whom to compare with whom, subject first: all with the base, adapters with the model tuned whole and with what
    they stand on, and of several adapters or several such models each further one with the first.

    >>> pairs_of([Subject(name="base", kind="base"), Subject(name="a", kind="adapter"), Subject(name="f", kind="full")])
    (('a', 'base'), ('a', 'f'), ('f', 'base'))
    """
    told = tuple(subjects)
    references: dict[Kind, tuple[Kind, ...]] = {
        "adapter": ("base", "below", "full"),
        "full": ("base",),
        "below": ("base",),
    }
    firsts = {one.kind: one for one in reversed(told)}
    return tuple(
        (subject.name, reference.name)
        for subject in told
        for kind in (*references.get(subject.kind, ()), subject.kind)
        for reference in (told if kind != subject.kind else (firsts[kind],))
        if reference.kind == kind and reference is not subject
    )


def told(result: EvaluationResult) -> dict[str, Any]:
    """The result as plain data, which JSON can hold and `read` takes back."""
    plain: dict[str, Any] = _adapter().dump_python(result, mode="json")
    return plain


def read(plain: object) -> EvaluationResult:
    """The result that `plain` tells.

    Raises:
        IntegrityError: it is not what `told` gives.
    """
    try:
        return _adapter().validate_python(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise IntegrityError(f"No result of an evaluation: {where}: {first['msg']}.") from error


@cache
def _adapter() -> TypeAdapter[EvaluationResult]:
    return TypeAdapter(EvaluationResult)
