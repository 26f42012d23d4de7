"""What a recipe asks of its data."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import OFF, Spec, by_form
from graftwork.data.layouts import LAYOUTS
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.quality.spec import QualitySpec
from graftwork.data.source_spec import SourceSpec


class HeldOut(Spec):
    """Part of the training records, held out."""

    fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the records held out for evaluation. 0.05 to 0.2 are usual."""

    most: int | None = Field(default=None, ge=1)
    """At most so many records held out. Absent: no limit."""

    stratify: Literal["none", "source", "answer"] = "none"
    """Hold out the same share of each source, or of each answer (for labels). Records of a group stay together."""


class Windows(Spec):
    """How a record that is longer than a row is cut."""

    overlap_tokens: int = Field(default=128, ge=1)
    """Tokens that a window repeats, as context, from the one before. 64 to 256 are usual."""


def _form(value: object) -> str:
    if isinstance(value, Mapping | Spec):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else "a path"


Path = Annotated[str, Field(min_length=1), Tag("a path")]
Source = Annotated[Path | Annotated[SourceSpec, Tag("a mapping")], Discriminator(_form)]
Sources = Annotated[
    Path | Annotated[SourceSpec, Tag("a mapping")] | Annotated[tuple[Source, ...], Field(min_length=1), Tag("a list")],
    Discriminator(_form),
]
Evaluation = Annotated[Path | Annotated[HeldOut, Tag("a mapping")], Discriminator(_form)]


class DataSpec(Spec):
    """Where records come from and how they become tokens."""

    train: Sources
    """Training records: a file, a folder, hf:owner/name, a mapping with more about it, or a list of these."""

    evaluation: Evaluation = HeldOut()
    """Held-out records: {fraction: 0.1} of the training records, or a file of their own."""

    layout: str | None = None
    """How records are laid out, where a source does not say. Absent: seen from their keys."""

    system: str | None = Field(default=None, min_length=1)
    """System message for records that have none. Absent: what the base's template does without one."""

    learn: Literal["answers", "last", "all", "marked"] = "answers"
    """What is learned: every answer of the assistant, the last one, all of the text, or what the data marks."""

    max_tokens: int = Field(default=2048, ge=2)
    """Longest row in tokens; longer records are cut into windows. 512 to 4096 are usual."""

    windows: Annotated[Annotated[Windows, Tag("a mapping")] | OFF, by_form] = Windows()
    """How longer records are cut. off: they go to quarantine."""

    quality: QualitySpec = QualitySpec()
    """Which records are repaired and which go to quarantine."""

    privacy: Annotated[Annotated[PrivacySpec, Tag("a mapping")] | OFF, by_form] = "off"
    """What becomes of personal data before anything is written or tokenised."""

    most_quarantined_frac: float | None = Field(default=None, ge=0, le=1)
    """Stop when more than this share of all rows goes to quarantine. Absent: no limit, it is reported."""

    @field_validator("layout")
    @classmethod
    def _is_known(cls, layout: str | None) -> str | None:
        if layout is not None and layout not in LAYOUTS:
            raise SpecError([Problem("", layout, f"one of {', '.join(LAYOUTS)}", did_you_mean(layout, LAYOUTS))])
        return layout

    @property
    def sources(self) -> tuple[SourceSpec, ...]:
        """Training sources, in order."""
        given = self.train if isinstance(self.train, tuple) else (self.train,)
        return tuple(SourceSpec(path=one) if isinstance(one, str) else one for one in given)

    @property
    def held_out_sources(self) -> tuple[SourceSpec, ...]:
        """Sources of held-out records only."""
        return (SourceSpec(path=self.evaluation),) if isinstance(self.evaluation, str) else ()
