"""What a filter is: it says where something of its kind stands in a text, and up to where that is settled. Pure.

Whoever asks brings the text piece by piece. A finder promises that the pieces make no difference:

1. A span that it told stays told, whatever comes behind; so does that there is none before `Look.settled`.
2. What it holds back is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import Field

from graftwork.core.catalog import Catalog
from graftwork.core.spec import Spec

Action = Literal["mask", "block", "flag"]
"""mask: something else stands in its place. block: the answer ends there, a prompt is refused. flag: it is counted."""

Side = Literal["prompt", "answer"]
BEFORE = 80
"""Characters before the undecided ones that a finder is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What a finder looks at.

    Attributes:
        before: up to `BEFORE` characters that are decided already.
        held: those that are not.
        at: how many characters stand before `held` in all.
        is_last: nothing comes behind `held`.
    """

    before: str
    held: str
    at: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A place in `Text.held`.

    Attributes:
        kind: what it is, such as phone; never what stands there.
        mask: what may stand there instead.
    """

    start: int
    end: int
    kind: str
    mask: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a finder sees.

    Attributes:
        spans: in order and apart, none ending behind `settled`.
        settled: so many characters of `Text.held` are decided.
    """

    spans: tuple[Span, ...]
    settled: int


Finder = Callable[[Text], Look]


class Filter(Protocol):
    """A filter with its settings, for any number of texts at once."""

    @property
    def evidence(self) -> Mapping[str, object]:
        """What its settings alone do not tell, such as digests of lists: plain data for the digest of the policy."""

    def finder(self, source: str) -> Finder:
        """What looks at one text.

        Args:
            source: what was asked, as one text; empty for a prompt.
        """


class FilterSpec(Spec):
    """What every filter is told."""

    action: Action = Field(description="mask, block or flag.")
    """What becomes of what it finds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterKind:
    """A kind of filter.

    Attributes:
        spec: its settings; its field `filter` has the kind's name.
        made: the filter of such settings. Raises SpecError or NotFoundError for what they name.
        actions: what may become of what it finds.
        sides: where it may stand.
    """

    spec: type[FilterSpec]
    made: Callable[..., Filter]
    actions: tuple[Action, ...] = ("mask", "block", "flag")
    sides: tuple[Side, ...] = ("prompt", "answer")


@dataclass(frozen=True, slots=True)
class Intervention:
    """What a guard did, without what it was done to.

    Attributes:
        filter: the filter's name.
        kind: what it found, such as phone.
        length: characters that it found.
    """

    filter: str
    kind: str
    action: Action
    side: Side
    length: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A filter of a finder alone."""

    looks: Finder
    evidence: Mapping[str, object] = field(default_factory=dict)

    def finder(self, source: str) -> Finder:
        """The same for every text."""
        return self.looks


FILTERS: Catalog[FilterKind] = Catalog("filter")
