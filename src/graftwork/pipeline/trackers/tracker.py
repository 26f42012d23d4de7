"""What a tracker is: how it is opened for a run, and what it is given. Loads none of their packages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from graftwork.core.catalog import Catalog
from graftwork.core.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """A training as a tracker is told of it.

    Attributes:
        job: digest of all that the training depends on; a training that goes on has the same.
        folder: of the run; what a tracker writes to this machine lies in `trackers/<its name>` there.
        settings: the recipe's values, by path.
        first_step: steps that are done already; what was told of later ones is told again.
    """

    name: str
    job: str
    folder: Path
    settings: Mapping[str, str]
    first_step: int


class Writer(Protocol):
    """An open tracker. May raise anything, and may be slow: it is called from a thread of its own."""

    where: str
    """Where what it is given can be seen, in words."""

    def put(self, step: int, values: Mapping[str, float]) -> None:
        """Values after `step` steps, by name."""

    def close(self, *, finished: bool) -> None:
        """Nothing more comes; `finished` unless the training was stopped before its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracker:
    """A tracker.

    Attributes:
        needs: packages that must be there, by the names they are imported by.
        extra: the extra of this package that installs them.
        open: begins, or goes on with, what the tracker shows of a training.
    """

    name: str
    needs: tuple[str, ...]
    extra: str
    open: Callable[[Tracked], Writer]


TRACKERS: Catalog[Tracker] = Catalog("tracker")


def tracker_problems(names: Sequence[str]) -> Iterator[Problem]:
    """What is missing on this machine for the trackers that a recipe names."""
    for number, name in enumerate(names):
        tracker = TRACKERS[name]
        if lacking := [package for package in tracker.needs if find_spec(package) is None]:
            hint = f"pip install 'graftwork[{tracker.extra}]', or take it out of the recipe."
            yield Problem(f"trackers[{number}]", name, f"{' and '.join(lacking)} to be installed", hint)
