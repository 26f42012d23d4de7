"""What a recipe asks of the evaluation. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

import graftwork.evaluation.dimensions  # noqa: F401  fills the catalog
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.data.source_spec import SourceSpec
from graftwork.evaluation.dimension import DIMENSIONS

BATCH_TOKENS = 8192


def _named(name: str) -> Spec:
    """What a dimension's bare name is short for."""
    return DIMENSIONS[name].spec()


def _kind(raw: object) -> str:
    if isinstance(raw, str):
        return "a name"
    kind = raw.get("kind") if isinstance(raw, Mapping) else getattr(raw, "kind", None)
    return str(kind or "none")


if TYPE_CHECKING:
    DimensionSpec = Any
else:
    _specs = tuple(Annotated[DIMENSIONS[name].spec, Tag(name)] for name in DIMENSIONS)
    _name = Annotated[Literal[tuple(DIMENSIONS)], AfterValidator(_named), Tag("a name")]
    DimensionSpec = Annotated[Union[(_name, *_specs)], Discriminator(_kind)]


class FullBaseline(Spec):
    """Full tuning of the same base on the same data, to stand beside the adapter."""

    kind: Literal["full"] = "full"
    """The base's own weights, on a copy."""

    rates: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(1e-5, 3e-5, 1e-4), min_length=1, max_length=8
    )
    """Learning rates that are tried; the one of the lowest loss on records set aside for choosing is kept. Several, so
    that it is not beaten by a badly chosen one."""

    epochs: float | None = Field(default=None, gt=0, le=1000)
    """How often it sees the data. Absent: as many steps as the adapter's training."""


def _form(raw: object) -> str:
    return "a word" if isinstance(raw, str) else "a mapping"


def _whole(word: str) -> object:
    return FullBaseline() if word == "full" else word


Baseline = Annotated[
    Annotated[Literal["none", "full"], AfterValidator(_whole), Tag("a word")]
    | Annotated[FullBaseline, Tag("a mapping")],
    Discriminator(_form),
]
General = Annotated[
    Annotated[Literal["shipped", "off"], Tag("a word")] | Annotated[SourceSpec, Tag("a mapping")],
    Discriminator(_form),
]


class EvaluationSpec(Spec):
    """How base and adapter are compared on the held-out records."""

    answers: int = Field(default=100, ge=2)
    """Held-out records that are answered, and compared word for word; at most all of them. 100 to 1000 are usual."""

    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens of an answer."""

    batch_size: int = Field(default=16, ge=1)
    """Records in a forward pass."""

    batch_tokens: int = Field(default=BATCH_TOKENS, ge=1, exclude_if=lambda tokens: tokens == BATCH_TOKENS)
    """Most tokens in a forward pass of the dimensions, padding and answers within; one row may always be there."""

    dimensions: tuple[DimensionSpec, ...] = Field(default=(), max_length=32, exclude_if=lambda asked: not asked)
    """Ways to look at base and adapter: names, or mappings with `kind` and settings. None is a quick look: the held-out
    loss and answers word for word."""

    baseline: Baseline = Field(default="none", exclude_if=lambda baseline: baseline == "none")
    """full: also tune the whole base on the same data and evaluate it on the same items. Takes its time and memory."""

    margins: Mapping[str, Annotated[float, Field(ge=0)]] = Field(default={}, exclude_if=lambda margins: not margins)
    """How much worse a metric may be and still be called not worse, in its unit: {accuracy.exact: 0.02}."""

    general: General = Field(default="shipped", exclude_if=lambda general: general == "shipped")
    """What else the base must not forget, asked beside any dimension: shipped, off, or a source of records."""

    @model_validator(mode="after")
    def _asks_dimensions_once(self) -> EvaluationSpec:
        kinds = [spec.kind for spec in self.dimensions]
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise SpecError([Problem("dimensions", twice, "each dimension once")])
        if not self.dimensions and (left := self._without_dimensions()):
            hint = "It is of the dimensions. Name some: dimensions: [accuracy]."
            raise SpecError([Problem(name, value, "nothing without dimensions", hint) for name, value in left])
        if problems := list(self._margin_problems(kinds)):
            raise SpecError(problems)
        return self

    def _margin_problems(self, kinds: Sequence[str]) -> Iterator[Problem]:
        asked = [DIMENSIONS[name] for name in (*kinds, "forgetting")]
        known = [f"{one.name}.{metric.name}" for one in asked if not one.is_measured for metric in one.metrics]
        for key, margin in self.margins.items():
            if key not in known:
                expected = "a dimension that is asked and one of its metrics"
                yield Problem(f"margins.{key}", margin, expected, did_you_mean(key, known))

    def _without_dimensions(self) -> list[tuple[str, object]]:
        """What was asked for that only dimensions use."""
        told = {
            "batch_tokens": self.batch_tokens != BATCH_TOKENS,
            "baseline": self.baseline != "none",
            "margins": bool(self.margins),
            "general": self.general != "shipped",
        }
        return [(name, self.model_dump(mode="json").get(name)) for name, is_asked in told.items() if is_asked]
