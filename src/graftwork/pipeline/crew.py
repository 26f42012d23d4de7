"""The processes that do a run's heavy steps together, seen from the one that writes. No torch until there are several.

Rank 0 reads the request, prepares and decides. When a step is to be done by all, it hands the others a task: the same
function with the same request and the same prepared data. Each does it in a folder of its own (`following.py`), to the
same bits; what rank 0 leaves in the run's folder is the result.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from graftwork.core.errors import IntegrityError, WorkError
from graftwork.pipeline.folder import Done
from graftwork.pipeline.helpers import Helpers, threads_each
from graftwork.pipeline.parallel import Parallel
from graftwork.pipeline.seats import Seat
from graftwork.pipeline.spec import RunSpec
from graftwork.training.team import ALONE, Team

if TYPE_CHECKING:
    from graftwork.pipeline.watch import Watch
    from graftwork.pipeline.work import Work
    from graftwork.training.distributed import Joined

ARRIVAL_S = 600.0
"""Longest wait for the others to be there: they load torch, and on other machines may start later."""

POLL_S, LAST_WORDS_S = 0.05, 3.0

Step = Callable[..., Done]
"""A step of a run: from a `Work` and what else it needs to what is done."""


class Crew(Protocol):
    """Who does a step.

    Attributes:
        team: who shares the work of an optimizer step at this moment.
        writes: whether what this process leaves is kept; else it only computes with the others.
        shards: whether the base's layers are spread over the processes, each holding a part.
    """

    @property
    def team(self) -> Team: ...
    @property
    def writes(self) -> bool: ...
    @property
    def shards(self) -> bool: ...

    def do(self, step: Step, work: Work, *given: Any) -> Done:
        """`step(work, *given)`, by all together. Raises what it raises, and WorkError when another process is gone."""
        ...


class Solo:
    """One process."""

    team: Team = ALONE
    writes = True
    shards = False

    def do(self, step: Step, work: Work, *given: Any) -> Done:
        """It does all."""
        return step(work, *given)


SOLO = Solo()
"""The usual crew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What the others are to do: `step(work, *given)`, with a `Work` of their own made of the rest."""

    step: Step
    spec: RunSpec
    folder: str
    device: str
    shards: bool
    given: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Leave:
    """There is no more to do, because all is done or because `error` ended it."""

    error: BaseException | None


class Agreed:
    """A watch whose wish to stop is that of any process: all stop after the same step."""

    def __init__(self, watch: Watch, crew: Crew) -> None:
        self._watch, self._crew = watch, crew
        self.say, self.preparing, self.training = watch.say, watch.preparing, watch.training
        self.step, self.looked, self.evaluating = watch.step, watch.looked, watch.evaluating

    def should_stop(self) -> bool:
        """Whether any wants to."""
        return self._crew.team.any_of(self._watch.should_stop())


@contextmanager
def leading(parallel: Parallel, seat: Seat | None, *, say: Callable[[str], None]) -> Iterator[Crew]:
    """The crew of a run whose process 0 this is: of a launcher's, or of those that it starts itself when needed."""
    if seat is None and parallel.processes == 1:
        yield SOLO
        return
    size = parallel.processes if seat is None else seat.size
    crew = Lead(seat, size, shards=parallel.shards_base, say=say)
    try:
        yield crew
    except BaseException as error:
        crew.leave(error)
        raise
    crew.leave(None)


class Lead:
    """Rank 0 of several."""

    writes = True

    def __init__(self, seat: Seat | None, size: int, *, shards: bool, say: Callable[[str], None]) -> None:
        self.team: Team = ALONE
        self.shards = shards
        self._seat, self._size, self._say = seat, size, say
        self._helpers: Helpers | None = None
        self._joined: Joined | None = None
        self._stack = ExitStack()
        self._tasks = 0
        self._store: Any = None
        if seat is not None:
            self._store = store_at(seat)  # the others look for it from the start

    def do(self, step: Step, work: Work, *given: Any) -> Done:
        """As `Crew.do`; afterwards all must hold the same."""
        if self._joined is None:
            self._gather()
        task = Task(
            step=step,
            spec=work.spec,
            folder=str(work.folder.path.resolve()),
            device=work.device,
            shards=self.shards,
            given=given,
        )
        self._tell(task)
        joined = self._joined = self._joined or self._join(work.device)
        joined.each("ready")  # they have seen the folder as it is now
        self.team = joined
        try:
            done = step(work, *given)
        except RuntimeError as error:  # from within the base, where it is spread: torch does not know our words
            if self.shards and (gone := self._gone()):
                raise WorkError(gone) from error
            raise
        finally:
            self.team = ALONE
        if len(set(joined.each(made_by(done)))) > 1:
            work.folder.forget(*(name for name, kept in work.folder.steps().items() if kept == done))
            raise IntegrityError("the processes ended with different adapters. This is a bug, report it.")
        return done

    def leave(self, error: BaseException | None) -> None:
        """Let the others go."""
        if self._store is not None:
            with suppress(RuntimeError):  # the launcher's store may be gone, and then so are the others
                self._tell(Leave(error=error))
        if self._helpers is not None:
            self._helpers.leave(at_once=error is not None)
        self._stack.close()

    def lost(self) -> str:
        """Why another process may be gone."""
        return self._gone() or f"One of the {self._size} processes ended without a word, or does not answer."

    def _gone(self) -> str:
        """Who has ended, and why; nothing if that does not show within a few seconds."""
        end_s = time.monotonic() + LAST_WORDS_S
        while True:
            said = [f"Process {rank}: {words}" for rank in range(1, self._size) if (words := self._failure(rank))]
            if gone := " ".join(said) or (self._helpers.gone() if self._helpers else ""):
                return gone
            if time.monotonic() > end_s:
                return ""
            time.sleep(POLL_S)

    def _failure(self, rank: int) -> str:
        return self._store.get(f"failed/{rank}").decode() if self._store.check([f"failed/{rank}"]) else ""

    def _gather(self) -> None:
        """Have all of them there, each waiting for its first task."""
        if self._seat is None:
            self._helpers = Helpers(self._size)
            self._store = file_store(self._helpers.store, self._size)
        local = self._size if self._seat is None else self._seat.local_size
        limit_threads(self._stack, local)
        self._say(f"{self._size} processes share each step, with {threads_now()} threads each")
        self._wait_for_all()

    def _join(self, device: str) -> Joined:
        import torch

        from graftwork.training.distributed import joined

        return self._stack.enter_context(
            joined(
                self._store, rank=0, size=self._size, device=torch.device(device), lost=self.lost, shards=self.shards
            )
        )

    def _wait_for_all(self) -> None:
        here = [f"here/{rank}" for rank in range(1, self._size)]
        end_s = time.monotonic() + ARRIVAL_S
        while not self._store.check(here):
            if self._helpers and (gone := self._helpers.gone()):
                raise WorkError(f"a process that was to help could not start. {gone}")
            if time.monotonic() > end_s:
                raise WorkError(f"not all of the {self._size} processes came within {ARRIVAL_S:.0f} s.")
            time.sleep(POLL_S)

    def _tell(self, word: Task | Leave) -> None:
        self._store.set(f"task/{self._tasks}", pickle.dumps(word))
        self._tasks += 1


def made_by(done: Done) -> str:
    """What names the result of a step, the same in every process."""
    return str(done.summary.get("adapter_digest"))


def store_at(seat: Seat) -> Any:
    """The store that all processes talk through.

    Raises:
        WorkError: nobody holds it.
    """
    if seat.file:
        return file_store(seat.file, seat.size)
    from datetime import timedelta

    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, but not in its list

    try:
        return TCPStore(
            seat.host,
            seat.port,
            is_master=seat.hosts_store,
            timeout=timedelta(seconds=ARRIVAL_S),
            wait_for_workers=False,
        )
    except (RuntimeError, ValueError) as error:
        raise WorkError(f"the processes cannot meet at {seat.host}:{seat.port}: {error}") from error


def file_store(path: str, size: int) -> Any:
    """The store in a file, for processes of one machine."""
    from torch.distributed import FileStore  # type: ignore[attr-defined]  # public, but not in its list

    return FileStore(path, size)


def threads_now() -> int:
    """Threads that torch computes with in this process."""
    import torch

    return torch.get_num_threads()


def limit_threads(stack: ExitStack, local_size: int) -> None:
    """Until `stack` closes, use no more threads than leaves some for the other processes, unless the user said."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads_each(local_size))
