"""A folder to look at a recipe in that spoils nothing: the run's own, or a passing one.

Data is prepared in the run's own folder, where the run then finds it done; but where an adapter of other data lies
there, which a preparation would set aside, in a folder that is gone afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graftwork.pipeline.data_inputs import data_inputs
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.stages import folder_name, specs_of
from graftwork.pipeline.watch import Watch
from graftwork.pipeline.work import Work


@contextmanager
def untouched(spec: RunSpec, path: Path, watch: Watch) -> Iterator[tuple[Path, bool]]:
    """A folder to prepare in, and whether it is gone afterwards."""
    if not _holds_other_work(spec, path, watch):
        yield path, False
        return
    watch.say(f"{path} holds what was trained on other data; the data is prepared elsewhere, and that stays as it is")
    with tempfile.TemporaryDirectory(prefix="graftwork-") as passing:
        yield Path(passing), True


def _holds_other_work(spec: RunSpec, path: Path, watch: Watch) -> bool:
    each = specs_of(spec)
    for number, one in enumerate(each, 1):
        is_last = number == len(each)
        folder = RunFolder(path if is_last else path / folder_name(number, spec.stages[number - 1].name))
        if "train" not in folder.steps():
            continue
        work = Work(spec=one, folder=folder, watch=watch)
        if folder.still_done("prepare", data_inputs(work)) is None:
            return True
    return False
