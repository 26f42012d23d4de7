"""Checks that need all records: what they are given, what they say, and the catalog of them.

Legend: N records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from graftwork.core.catalog import Catalog
from graftwork.core.spec import Spec
from graftwork.data.quality.groups import Tell, TextOf, first_of_equal, grouped
from graftwork.data.quality.likeness import OWN_CHARACTERS, are_alike
from graftwork.data.quality.traits import lowest_threshold

if TYPE_CHECKING:
    from graftwork.data.quality.signature import Array
    from graftwork.data.quality.spec import QualitySpec
    from graftwork.data.quality.traits import Traits

S = TypeVar("S", bound=Spec)
TRAINING, HELD_OUT = 0, 1


@dataclass(frozen=True, slots=True)
class WholeQuarantined:
    """Why a record is set aside because of another.

    Attributes:
        reason: name of the check.
        detail: what was found, what is allowed and which setting says so; `{like}` stands for the other record.
        like: index of the other record. A later check may set that aside too.
    """

    reason: str
    detail: str
    like: int | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """What a check of all records is given.

    Attributes:
        group_N: first record of each record's group; records of one group are alike.
        first_N: first record of the same content.
        open_N: which records may be set aside: those of the training side that no earlier check has set aside.
        is_held_N: which records are held out; they are never set aside.
        text_of: the compared text of a record; slow, so ask in order and only for what is needed.
    """

    traits: Traits
    group_N: Array
    first_N: Array
    open_N: Array
    is_held_N: Array
    text_of: TextOf


Finding = tuple[int, WholeQuarantined]


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeCheck(Generic[S]):
    """A check that needs all records.

    Attributes:
        place: checks are applied in order of place; a record is set aside by the first that finds fault with it.
        about: what it is for, shown with the recipe's field of its name.
        default: its settings when a recipe does not name it, or "off".
        find: the records to set aside, each once, and why.
    """

    name: str
    place: int
    about: str
    spec: type[S]
    default: S | Literal["off"]
    find: Callable[[S, Whole], Iterator[Finding]]


WHOLE_CHECKS: Catalog[WholeCheck[Any]] = Catalog("whole check")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of N records.

    Attributes:
        quarantined: by index, why a record is set aside.
        group: for every record the index of the first of its group of near duplicates; int64. What is of one group
            belongs on one side of a split.
    """

    quarantined: dict[int, WholeQuarantined] = field(default_factory=dict)
    group: Array = field(kw_only=True)


def runs_of_equal(indices: Array, names: Array) -> Iterator[Array]:
    """The `indices`, in order, of each name that two or more of them have."""
    import numpy as np

    order = np.argsort(names, kind="stable")
    borders = np.flatnonzero(names[order][1:] != names[order][:-1]) + 1
    begins, ends = np.concatenate([[0], borders]), np.concatenate([borders, [len(order)]])
    several = ends - begins > 1
    for begin, end in zip(begins[several].tolist(), ends[several].tolist(), strict=True):
        yield indices[order[begin:end]]


def groups_among(whole: Whole, chosen_N: Array) -> Iterator[list[int]]:
    """The `chosen_N` records of each group of which there are two or more."""
    import numpy as np

    chosen = np.flatnonzero(chosen_N)
    for members in runs_of_equal(chosen, whole.group_N[chosen]):
        yield members.tolist()


def _silent(share: float) -> None:
    pass


def judged(
    traits: Traits,
    spec: QualitySpec,
    *,
    text_of: TextOf,
    side: Array | None = None,
    progress: Tell = _silent,
) -> Verdict:
    """What becomes of the records of `traits`.

    Args:
        text_of: the `compared_text` of a record; asked only for candidates, in order within each block.
        side: for every record 0 for training or 1 for held out; None when all are for training.
        progress: is told the share done, 0 to 1.
    """
    import numpy as np

    first_N = first_of_equal(traits)
    is_held_N = np.zeros(len(traits), bool) if side is None else side == HELD_OUT
    whole = Whole(
        traits=traits,
        group_N=_groups(traits, spec, first_N, text_of, progress),
        first_N=first_N,
        open_N=~is_held_N,
        is_held_N=is_held_N,
        text_of=text_of,
    )
    verdict = Verdict(group=whole.group_N)
    settings = dict(spec)
    for check in sorted((WHOLE_CHECKS[name] for name in WHOLE_CHECKS), key=lambda check: check.place):
        if settings[check.name] != "off":
            found = dict(check.find(settings[check.name], whole))
            verdict.quarantined.update(found)
            whole.open_N[list(found)] = False
    return verdict


def _groups(traits: Traits, spec: QualitySpec, first_N: Array, text_of: TextOf, tell: Tell) -> Array:
    threshold = lowest_threshold(spec)
    if threshold is None or not len(traits):
        return first_N
    near = spec.near_duplicates
    own_characters = OWN_CHARACTERS if near == "off" else max(near.own_characters, OWN_CHARACTERS)
    return grouped(
        traits,
        first_N,
        alike=lambda a, b: are_alike(a, b, threshold=threshold, own_characters=own_characters),
        text_of=text_of,
        tell=tell,
    )
