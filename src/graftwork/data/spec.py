"""What a recipe asks of its data."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Field, Tag, field_validator

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.data.layouts import LAYOUTS


class HeldOut(Spec):
    """Part of the training records, held out."""

    fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the records held out for evaluation. 0.05 to 0.2 are usual."""

    most: int | None = Field(default=None, ge=1)
    """At most so many records held out. Absent: no limit."""


def _form(value: object) -> str:
    return "a mapping" if isinstance(value, Mapping | HeldOut) else "a path"


Evaluation = Annotated[
    Annotated[str, Field(min_length=1), Tag("a path")] | Annotated[HeldOut, Tag("a mapping")],
    Discriminator(_form),
]


class DataSpec(Spec):
    """Where records come from and how they become tokens."""

    train: str = Field(min_length=1)
    """File of training records (.jsonl, .json, .csv), beside the recipe or from the current folder."""

    evaluation: Evaluation = HeldOut()
    """Held-out records: {fraction: 0.1} of the training records, or a file of their own."""

    layout: str | None = None
    """How records are laid out: chat, alpaca, prompt_completion, question_answer. Absent: seen from their keys."""

    system: str | None = Field(default=None, min_length=1)
    """System message for records that have none. Absent: what the base's template does without one."""

    max_tokens: int = Field(default=2048, ge=2)
    """Longest record in tokens; a longer one is refused, never cut. 512 to 4096 are usual."""

    @field_validator("layout")
    @classmethod
    def _is_known(cls, layout: str | None) -> str | None:
        if layout is not None and layout not in LAYOUTS:
            raise SpecError([Problem("", layout, f"one of {', '.join(LAYOUTS)}", did_you_mean(layout, LAYOUTS))])
        return layout
