"""Length: no more than so many characters."""

from typing import Literal

from pydantic import Field

from graftwork.serving.guard.finding import FILTERS, FilterKind, FilterSpec, Look, Plain, Span, Text


class LengthSpec(FilterSpec):
    """Ends or counts texts that are too long."""

    filter: Literal["length"] = "length"
    """Counts characters."""

    most_characters: int = Field(ge=1)
    """Characters that a text may have."""


def made(spec: LengthSpec) -> Plain:
    """The filter of `spec`; what it finds is the first character that is too many."""

    def look(text: Text) -> Look:
        over = spec.most_characters - text.at
        spans = (Span(over, over + 1, "too_long", ""),) if 0 <= over < len(text.held) else ()
        return Look(spans, len(text.held))

    return Plain(look)


FILTERS.add("length", FilterKind(spec=LengthSpec, made=made, actions=("block", "flag")))
