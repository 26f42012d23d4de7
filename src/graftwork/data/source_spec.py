"""One source of records, as a recipe names it."""

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.data.layouts import LAYOUTS

HUB = "hf:"
HUB_NAME = re.compile(r"hf:[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)


class SourceSpec(Spec):
    """Where records come from, and what their keys and labels are called there."""

    path: str = Field(min_length=1)
    """A file, a folder of files of one kind, a folder saved by `datasets`, or hf:owner/name[@revision]."""

    layout: str | None = None
    """How its records are laid out. Absent: seen from their keys."""

    files: str | None = Field(default=None, min_length=1)
    """Which files of the folder, such as "*.jsonl" or "**/*.txt". Absent: all of them."""

    fields: Mapping[str, str] = {}
    """What a layout's keys are called here: {text: TEXT, answer: reply}."""

    labels: Mapping[str, str] = {}
    """What the labels stand for, as the model should say it: {"0": harmless, "1": offensive}."""

    weight: float = Field(default=1.0, ge=0.01, le=100)
    """How often its records are seen in an epoch, as a multiple: 2 is twice, 0.5 is every other one."""

    group: str | None = Field(default=None, min_length=1)
    """Key whose value stays on one side of a split, such as a customer's number."""

    encoding: Literal["utf-8", "gb18030", "big5", "utf-16"] = "utf-8"
    """Encoding of its text files."""

    split: str | None = Field(default=None, min_length=1)
    """Split of a data set from the hub or saved by `datasets`, such as train."""

    subset: str | None = Field(default=None, min_length=1)
    """Subset of a data set from the hub, where it has several."""

    @property
    def is_on_hub(self) -> bool:
        """Whether it is a data set on the Hugging Face hub."""
        return self.path.startswith(HUB)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = [*self._layout_problems(), *self._field_problems(), *self._place_problems()]
        if problems:
            raise SpecError(problems)
        return self

    def _layout_problems(self) -> list[Problem]:
        if self.layout is None:
            return []
        if self.layout not in LAYOUTS:
            expected = f"one of {', '.join(LAYOUTS)}"
            return [Problem("layout", self.layout, expected, did_you_mean(self.layout, LAYOUTS))]
        if self.labels and "label" not in LAYOUTS[self.layout].keys:
            return [Problem("labels", dict(self.labels), f"none with the layout {self.layout}", "It has no label.")]
        return []

    def _field_problems(self) -> list[Problem]:
        layouts = [self.layout] if self.layout in LAYOUTS else list(LAYOUTS)
        known = sorted({key for name in layouts if name is not None for key in LAYOUTS[name].keys})
        expected = f"a key of {'the layout ' + str(self.layout) if len(layouts) == 1 else 'a layout'}"
        problems = [
            Problem(f"fields.{key}", here, expected, did_you_mean(key, known) or f"Keys: {', '.join(known)}.")
            for key, here in self.fields.items()
            if key not in known
        ]
        names = list(self.fields.values())
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problems.append(Problem("fields", twice, "each key of the data once"))
        return problems

    def _place_problems(self) -> list[Problem]:
        if not self.is_on_hub:
            return [Problem("subset", self.subset, "none but with hf:owner/name")] if self.subset else []
        problems = []
        if not HUB_NAME.fullmatch(self.path):
            problems.append(Problem("path", self.path, "hf:owner/name or hf:owner/name@revision"))
        if self.files:
            problems.append(Problem("files", self.files, "none with a data set from the hub", "Use subset and split."))
        if self.encoding != "utf-8":
            problems.append(Problem("encoding", self.encoding, "utf-8 with a data set from the hub"))
        return problems
