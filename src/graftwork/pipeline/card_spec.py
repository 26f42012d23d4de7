"""What people say of an adapter on its model card; nothing of it changes a number. No torch."""

from pydantic import Field

from graftwork.core.spec import Spec

LONGEST = 4000
"""Characters of a text on the card."""


class CardSpec(Spec):
    """What a model card says that no program can know."""

    intended_use: str | None = Field(default=None, min_length=1, max_length=LONGEST)
    """What the adapter is meant for, and for whom; shown as told. Absent: the card says that nobody told."""

    not_for: str | None = Field(default=None, min_length=1, max_length=LONGEST)
    """What it must not be used for; shown as told."""

    data: str | None = Field(default=None, min_length=1, max_length=LONGEST)
    """Where the training data comes from and under which licence; shown as told."""

    licence: str | None = Field(default=None, min_length=1, max_length=100)
    """Licence of the adapter, such as apache-2.0."""

    contact: str | None = Field(default=None, min_length=1, max_length=LONGEST)
    """Whom to ask."""
