"""Work in other processes, answered in the order in which it was asked.

Plain child processes that speak over pipes rather than `multiprocessing`: a child never runs the caller's main script
again, and it copies no locks of the caller's threads. A child that dies is an error in words, never a wait without end.
"""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Queue
from typing import IO, Any, Generic, TypeVar

from graftwork.core.errors import WorkError

T = TypeVar("T")
R = TypeVar("R")


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(Generic[T, R]):
    """`number` processes, each with a function of its own that it made by `make(*given)`.

    Args:
        make: an importable function; what it returns is called with each task, in the child.
        given: picklable, as are tasks and answers.
    """

    def __init__(self, number: int, make: Callable[..., Callable[[T], R]], given: tuple[Any, ...]) -> None:
        self._number, self._begin = number, pickle.dumps((make, given))
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Workers[T, R]":
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        program = "from graftwork.core.workers import serve; serve()"
        for _ in range(self._number):
            child = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # Ctrl-C is the parent's to answer
            )
            self._children.append(child)
            _send(_pipe(child.stdin), self._begin)
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(BrokenPipeError):  # what a dead child never read
                    _pipe(pipe).close()

    def ordered(self, tasks: Iterable[T]) -> Iterator[R]:
        """The answer to each of `tasks`, in their order; a few more than there are children are read ahead.

        Raises:
            WorkError: a child died.
            Exception: whatever the function raised.
        """
        idle: Queue[subprocess.Popen[bytes]] = Queue()
        for child in self._children:
            idle.put(child)
        pending: deque[Future[R]] = deque()
        with ThreadPoolExecutor(self._number) as threads:
            try:
                for task in tasks:
                    pending.append(threads.submit(_answer, idle, task))
                    if len(pending) > 2 * self._number:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def serve() -> None:
    """What a child does: make its function, then answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get among the answers
    make, given = pickle.loads(_received(sys.stdin.buffer) or b"")
    function = None
    while (task := _received(sys.stdin.buffer)) is not None:
        try:
            function = function or make(*given)
            answer = True, function(pickle.loads(task))
        except Exception as error:  # noqa: BLE001  it is raised again where it was asked for
            answer = False, _portable(error)
        try:
            _send(answers, _pickled(answer))
        except BrokenPipeError:  # nobody is there any more
            os._exit(1)


def _pickled(answer: tuple[bool, Any]) -> bytes:
    try:
        return pickle.dumps(answer)
    except Exception as error:  # noqa: BLE001  whatever an object raises when it cannot be sent
        return pickle.dumps((False, WorkError(f"a worker's answer cannot be sent: {error}")))


def _portable(error: Exception) -> Exception:
    """`error` if it can be made again elsewhere, else its words."""
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  whatever it raises when it is made with other arguments
        again = None
    return error if isinstance(again, type(error)) else WorkError(f"{type(error).__name__}: {error}")


def _answer(idle: "Queue[subprocess.Popen[bytes]]", task: Any) -> Any:
    content = pickle.dumps(task)
    child = idle.get()
    try:
        told = None
        if child.poll() is None:
            _send(_pipe(child.stdin), content)
            told = _received(_pipe(child.stdout))
    except (BrokenPipeError, ValueError):  # it has ended, or its pipe was closed because of that
        told = None
    finally:
        idle.put(child)  # a dead one too, so that nobody waits for it
    if told is None:
        code = child.wait()
        raise WorkError(f"a worker process ended with {code}; it may have run out of memory. Give fewer workers.")
    is_right, answer = pickle.loads(told)
    if not is_right:
        raise answer
    return answer


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(len(content).to_bytes(8, "little"))
    pipe.write(content)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    content = pipe.read(size)
    return content if len(content) == size else None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
