"""Duplicates: records that say the same; the first are kept."""

from collections.abc import Iterator

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.whole import WHOLE_CHECKS, Finding, Whole, WholeCheck, WholeQuarantined


class DuplicatesSpec(Spec):
    """Records are the same when all their turns are, but for case, width and white space."""

    most: int = Field(default=1, ge=1)
    """Records of the same content that are kept, the first ones. 1 is usual; more where repetition is meant."""


def find(spec: DuplicatesSpec, whole: Whole) -> Iterator[Finding]:
    """Every record beyond the first `most` of its content."""
    import numpy as np

    open_O = np.flatnonzero(whole.open_N)
    order_O = open_O[np.argsort(whole.first_N[open_O], kind="stable")]
    content_O = whole.first_N[order_O]
    at_O = np.arange(len(order_O))
    begins_O = np.ones(len(order_O), bool)
    begins_O[1:] = content_O[1:] != content_O[:-1]
    begin_O = np.maximum.accumulate(np.where(begins_O, at_O, 0))
    for at in np.flatnonzero(at_O - begin_O >= spec.most).tolist():
        like = int(order_O[begin_O[at]])
        detail = f"the same as {{like}}; {spec.most} of the same {'is' if spec.most == 1 else 'are'} kept (most)"
        yield int(order_O[at]), WholeQuarantined("duplicates", detail, like)


WHOLE_CHECKS.add(
    "duplicates",
    WholeCheck(
        name="duplicates",
        place=30,
        about="Sets aside records that say the same as an earlier one, but for case, width and white space.",
        spec=DuplicatesSpec,
        default=DuplicatesSpec(),
        find=find,
    ),
)
