"""Trackers at work: each fed from a thread of its own, so one that is slow or fails is told of and does no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from queue import SimpleQueue
from threading import Thread
from typing import Any

from graftwork.core.spec import plain
from graftwork.pipeline.trackers import TRACKERS, Tracked, Tracker
from graftwork.pipeline.work import Work

WAIT_S = 30.0
"""How long the end of a training waits for a tracker that has not yet taken everything."""
LONGEST = 200
"""Characters of an error that are told."""


class Fed:
    """One tracker and the thread that feeds it. After its first error it is given nothing more."""

    def __init__(self, tracker: Tracker, tracked: Tracked) -> None:
        self.name = tracker.name
        self._words: SimpleQueue[str] = SimpleQueue()
        self._values: SimpleQueue[tuple[int, Mapping[str, float]] | bool] = SimpleQueue()
        self._thread = Thread(target=self._feed, args=(tracker, tracked), name=f"tracker-{self.name}", daemon=True)
        self._thread.start()

    def put(self, step: int, values: Mapping[str, float]) -> None:
        """Values after `step` steps; returns at once."""
        self._values.put((step, values))

    def close(self, *, finished: bool, wait_s: float = WAIT_S) -> None:
        """Wait until everything has been taken, but not for ever."""
        self._values.put(finished)
        self._thread.join(wait_s)
        if self._thread.is_alive():
            self._words.put(
                f"{self.name}: has not taken everything within {wait_s:g} s; the training goes on without it"
            )

    def words(self) -> Iterator[str]:
        """What there is to say of it, each once."""
        while not self._words.empty():
            yield self._words.get()

    def _feed(self, tracker: Tracker, tracked: Tracked) -> None:
        try:
            writer = tracker.open(tracked)
            self._words.put(f"{self.name}: {writer.where}")
            while not isinstance(one := self._values.get(), bool):
                writer.put(*one)
            writer.close(finished=one)
        except Exception as error:  # noqa: BLE001  other people's code, which must not end a training
            first = (str(error) or type(error).__name__).splitlines()[0][:LONGEST]
            self._words.put(f"{self.name}: failed ({first}); the training goes on without it")


class Tracking:
    """All trackers of a training."""

    def __init__(self, fed: Sequence[Fed], say: Callable[[str], None]) -> None:
        self._fed = fed
        self._say = say

    def put(self, kind: str, row: Mapping[str, Any]) -> None:
        """Tell all of them the numbers of a row of the metrics."""
        numbers = {f"{kind}/{name}": float(value) for name, value in row.items() if _is_number(name, value)}
        for one in self._fed:
            one.put(row["step"], numbers)
        self.say()

    def close(self, *, finished: bool) -> None:
        """Nothing more comes."""
        for one in self._fed:
            one.close(finished=finished)
        self.say()

    def say(self) -> None:
        """Pass on what they have to say, from the thread of the training."""
        for one in self._fed:
            for words in one.words():
                self._say(words)


@contextmanager
def tracking(work: Work, *, job: str, first_step: int) -> Iterator[Tracking]:
    """The trackers that the recipe names, open for a training."""
    tracked = Tracked(
        name=work.spec.name,
        job=job,
        folder=work.folder.path,
        settings=dict(flat(plain(work.spec))),
        first_step=first_step,
    )
    names = work.spec.trackers if work.crew.writes else ()  # of several processes one tells
    open_ = Tracking([Fed(TRACKERS[name], tracked) for name in names], work.watch.say)
    try:
        yield open_
    except BaseException:
        open_.close(finished=False)
        raise
    open_.close(finished=True)


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Plain data as values by path.

    >>> dict(flat({"adapter": {"rank": 8, "targets": ["q", "v"]}}))
    {'adapter.rank': '8', 'adapter.targets.0': 'q', 'adapter.targets.1': 'v'}
    """
    if isinstance(value, Mapping | list | tuple):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from flat(one, f"{path}.{key}".removeprefix("."))
    else:
        yield path, str(value)


def _is_number(name: str, value: Any) -> bool:
    return name != "step" and isinstance(value, int | float) and isfinite(value)
