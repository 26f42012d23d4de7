"""Every row on its own: read, checked, cleaned of personal data, made tokens; in several processes when it pays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.core.workers import Workers, usable_cores
from graftwork.data.chunk import Chunk, Preparer, Task
from graftwork.data.encode import Encoding
from graftwork.data.privacy.key import read_key
from graftwork.data.sources.read import size_bytes
from graftwork.data.spec import DataSpec
from graftwork.data.tasks import Reading, root_of, tasks

if TYPE_CHECKING:
    from graftwork.pipeline.spool import Spool
    from graftwork.pipeline.work import Work

WORTH_A_PROCESS_BYTES = 8 << 20
"""Data smaller than this is done before further processes have begun."""


def first_pass(work: Work, spool: Spool) -> Reading:
    """Put every record that can be used into `spool`, everything else into quarantine.

    Raises:
        Interrupted: asked to stop; nothing is kept, the same command begins again.
        NotFoundError, SpecError: a source is not there or of no kind that can be read, or the key is missing.
    """
    spec = work.spec.data
    total = sum(map(size_bytes, work.sources))
    reading = Reading(spec.layout, root_of(work.sources))
    num = len(spec.sources)
    training = tasks(work.sources[:num], reading, is_held_out=False)
    held_out = tasks(work.sources[num:], reading, is_held_out=True, first_number=num)
    with closing(_done(work, chain(training, held_out), total)) as chunks:
        for chunk in chunks:
            spool.add(chunk)
            work.watch.preparing("reading", reading.done_bytes, total)
            work.stop_if_asked("the data was being read")
    work.watch.preparing("reading", total, total)
    spool.closed()
    return reading


def _done(work: Work, given: Iterable[Task], total_bytes: int) -> Generator[Chunk, None, None]:
    """What became of each task, in order."""
    number = work.workers or (usable_cores() if total_bytes >= WORTH_A_PROCESS_BYTES else 1)
    told = (work.spec.data, work.base_folder, work.max_tokens)
    if number == 1:
        yield from map(preparer(*told), given)
        return
    with Workers[Task, Chunk](number, preparer, told) as workers:
        yield from workers.ordered(given)


def preparer(spec: DataSpec, base: Path, max_tokens: int) -> Callable[[Task], Chunk]:
    """What prepares tasks for the base in the folder `base`. The key is read here: it is sent to no other process."""
    from graftwork.base.load import load_chat

    key = None if spec.privacy == "off" else read_key(spec.privacy)
    overlap = None if spec.windows == "off" else min(spec.windows.overlap_tokens, max_tokens - 1)
    encoding = Encoding(learn=spec.learn, max_tokens=max_tokens, overlap=overlap)
    return Preparer(spec, load_chat(base), encoding, key)
