"""What the processes that do not write do: the tasks of rank 0, each in a folder of its own that nobody keeps.

In that folder lies the run as it is: its records and its checkpoints by link, its small files as copies. So the step
that rank 0 does runs here unchanged, reads what rank 0 reads, and whatever it writes is no one else's.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import GraftworkError, WorkError
from graftwork.pipeline.crew import (
    LAST_WORDS_S,
    POLL_S,
    Agreed,
    Crew,
    Leave,
    Step,
    Task,
    limit_threads,
    made_by,
    store_at,
)
from graftwork.pipeline.folder import LOCK, Done, RunFolder
from graftwork.pipeline.helpers import BEREFT, leave_with_parent
from graftwork.pipeline.seats import Seat, seat_from
from graftwork.pipeline.watch import Quiet, Watch
from graftwork.pipeline.work import Work
from graftwork.training.team import Team

if TYPE_CHECKING:
    from graftwork.base.load import Base
    from graftwork.training.distributed import Joined

CHECKPOINTS, SUPERSEDED = "checkpoints", "superseded"


class Member:
    """The crew as one of the others sees it, within a task."""

    writes = False

    def __init__(self, team: Team, *, shards: bool) -> None:
        self.team, self.shards = team, shards

    def do(self, step: Step, work: Work, *given: Any) -> Done:
        """Its part; the others are at it too."""
        return step(work, *given)


def help_parent() -> None:
    """The whole life of a process that `Helpers` started."""
    leave_with_parent()
    seat = seat_from(os.environ)
    assert seat is not None
    try:
        follow(seat, Quiet())
    except GraftworkError as error:
        sys.stderr.write(f"{error}\n")  # the file of its last words
        raise SystemExit(BEREFT if is_gone(error) else 1) from None


def follow(seat: Seat, watch: Watch) -> None:
    """Do tasks of rank 0 until it says that there are no more.

    Raises:
        GraftworkError: what ended the run, here or there.
    """
    store = store_at(seat)
    store.set(f"here/{seat.rank}", b"")
    try:
        _all_tasks(store, seat, watch)
    except BaseException as error:
        if is_gone(error):
            raise
        with suppress(RuntimeError):  # nobody is left to be told
            store.set(f"failed/{seat.rank}", f"{type(error).__name__}: {error}")
        raise


def is_gone(error: BaseException) -> bool:
    """Whether it only says that another process is gone: that one's words count, not these."""
    from graftwork.training.distributed import Gone

    return isinstance(error, Gone)


def gone(words: str) -> WorkError:
    """The error that says so."""
    from graftwork.training.distributed import Gone

    return Gone(words)


def _all_tasks(store: Any, seat: Seat, watch: Watch) -> None:
    word, number, base = _word(store, 0), 0, None
    with ExitStack() as stack:
        if isinstance(word, Task):
            lost, team = _joined(stack, store, seat, word)
        works: dict[str, Work] = {}
        while isinstance(word, Task):
            if word.folder not in works:
                crew = Member(team, shards=word.shards)
                works[word.folder] = stack.enter_context(_work(word, seat, watch, crew, base))
            work = works[word.folder]
            team.each("ready")
            team.each(made_by(word.step(work, *word.given)))
            base, number = work.in_memory, number + 1
            lost.next = number + 1
            word = _word(store, number)
    if word.error is not None:
        raise word.error


def _joined(stack: ExitStack, store: Any, seat: Seat, task: Task) -> tuple[Lost, Joined]:
    import torch

    from graftwork.training.distributed import joined

    limit_threads(stack, seat.local_size)
    lost, device = Lost(store, 1), torch.device(own_device(task.device, seat))
    told = joined(store, rank=seat.rank, size=seat.size, device=device, lost=lost, shards=task.shards)
    return lost, stack.enter_context(told)


class Lost:
    """Why rank 0 may be gone: its last word, which is the one after the task at hand."""

    def __init__(self, store: Any, next_word: int) -> None:
        self.next, self._store = next_word, store

    def __call__(self) -> str:
        """In words."""
        end_s = time.monotonic() + LAST_WORDS_S
        with suppress(RuntimeError):
            while time.monotonic() < end_s:
                if self._store.check([f"task/{self.next}"]):
                    word = pickle.loads(self._store.get(f"task/{self.next}"))
                    return f"Process 0: {word.error}"
                time.sleep(POLL_S)
        return "Another process ended without a word, or does not answer."


def _word(store: Any, number: int) -> Task | Leave:
    """What rank 0 says next; it may take as long as preparing data takes."""
    try:
        while not store.check([f"task/{number}"]):
            time.sleep(POLL_S)
        word: Task | Leave = pickle.loads(store.get(f"task/{number}"))
    except RuntimeError as error:
        raise gone("Process 0 has ended without a word; nobody is left to work for.") from error
    return word


def own_device(device: str, seat: Seat) -> str:
    """Each process of a machine has an accelerator of its own.

    >>> seat = Seat(rank=5, size=8, local_rank=1, local_size=4)
    >>> own_device("cuda", seat), own_device("cpu", seat)
    ('cuda:1', 'cpu')
    """
    return f"{device}:{seat.local_rank}" if device == "cuda" else device


@contextmanager
def _work(task: Task, seat: Seat, watch: Watch, crew: Crew, base: Base | None) -> Iterator[Work]:
    with TemporaryDirectory(prefix="graftwork-") as name:
        own = Path(name)
        mirror(Path(task.folder), own)
        yield Work(
            spec=task.spec,
            folder=RunFolder(own),
            watch=Agreed(watch, crew),
            device=own_device(task.device, seat),
            crew=crew,
            at_hand=base,
        )


def mirror(folder: Path, own: Path) -> None:
    """The run in `folder` as it is now, in `own`: small files as copies, because they are appended to; the rest by
    link, because whatever is written anew replaces the link and not what it leads to."""
    for path in folder.iterdir():
        if path.name in (LOCK, SUPERSEDED, CHECKPOINTS) or path.name.startswith("."):
            continue
        if path.is_dir():
            (own / path.name).symlink_to(path)
        else:
            shutil.copyfile(path, own / path.name)
    for path in (folder / CHECKPOINTS).glob("*/[!.]*"):
        link = own / CHECKPOINTS / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
