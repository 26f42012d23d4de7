"""The request for full tuning: the base's own parameters instead of an adapter. No torch."""

from typing import Literal

from graftwork.core.spec import Spec


class FullSpec(Spec):
    """The base's own parameters, trained on a copy: the baseline that adapters are measured against."""

    method: Literal["full"] = "full"
    """Says that no adapter is trained but the base itself; the result is a model folder."""

    embeddings: bool = True
    """Whether the tokens' embeddings and the head are trained too; false leaves them as they are. true is usual."""
