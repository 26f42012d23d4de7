"""The process that is killed, and the one that it may be forked from.

A fork starts from a process with torch and the base in memory and one thread alone, so it begins in milliseconds; it
has everything of its own that a run changes: memory, files, locks. Where a fork is not safe (threads run already, or
the base lies on a GPU) or not wanted, each one is started from nothing.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from graftwork.core.errors import GraftworkError
from graftwork.core.files import read_json
from graftwork.core.spec import parse
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.resume.journal import Journalist
from graftwork.pipeline.run import run_spec
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work

TASKS = Path("/proc/self/task")


def train_alone(request: str, folder: str, journal: str) -> None:
    """Train what the file `request` asks for, in `folder`; end the process with 0, or with 1 when it failed."""
    sys.exit(_attempt(_read(request), folder, journal))


def serve(request: str) -> None:
    """Load the base of `request`; then, for each line of standard input, fork a process that trains.

    Says on standard output: whether it can fork; then of each process its number and, when it has ended, its exit code.
    A process is reaped when the next line comes, so its number means nobody else as long as somebody may kill it.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    spec = _read(request)
    try:
        work = Work(spec=spec, folder=RunFolder(Path()), watch=Quiet())
        base = work.base
        _load_what_a_run_loads()
        answers.write(json.dumps({"cannot_fork": _why_not(base)}) + "\n")
    except GraftworkError as error:
        answers.write(json.dumps({"failed": str(error)}) + "\n")
        return
    for line in sys.stdin:
        told = json.loads(line)
        number = os.fork()
        if number == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os._exit(_attempt(spec, told["folder"], told["journal"], base))
        answers.write(json.dumps({"process": number}) + "\n")
        os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
        answers.write(json.dumps({"ended": True}) + "\n")
        sys.stdin.readline()
        _, status = os.waitpid(number, 0)
        answers.write(json.dumps({"exit_code": os.waitstatus_to_exitcode(status)}) + "\n")


def _attempt(spec: RunSpec, folder: str, journal: str, base: Any = None) -> int:
    told = Journalist(Path(journal))
    try:
        run_spec(spec, out=folder, until="train", watch=told, workers=1, base=base)
    except (GraftworkError, OSError) as error:
        told.note({"failed": str(error)})
        return 1
    except BaseException:  # noqa: BLE001  the last words of a process that ends here
        told.note({"failed": traceback.format_exc()})
        return 1
    return 0


def _read(request: str) -> RunSpec:
    return parse(RunSpec, read_json(Path(request)))


def _load_what_a_run_loads() -> None:
    """Modules that a run imports where it uses them."""
    import graftwork.pipeline.check
    import graftwork.pipeline.prepare
    import graftwork.pipeline.train  # noqa: F401


def _why_not(base: Any) -> str | None:
    if base.device.type != "cpu":
        return f"the base lies on {base.device}"
    num = len(list(TASKS.iterdir())) if TASKS.is_dir() else None
    return None if num == 1 else f"{num or 'an unknown number of'} threads run in the process that has the base loaded"
