"""Records for an evaluation: those that a run has prepared, and those of a source that no run has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graftwork.core.errors import Problem, SpecError
from graftwork.data.layouts.layout import record_of
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Bad
from graftwork.data.sources.hub import at_commit
from graftwork.data.tasks import Reading, root_of, tasks
from graftwork.pipeline.work import prepared_records


@dataclass(frozen=True, slots=True)
class PreparedIn:
    """Records that lie in files of runs, read anew each time they are asked for."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            yield from prepared_records(path)


@dataclass(frozen=True, slots=True)
class Found:
    """Records of a source, and how many of its rows could not be read as such, with the reason of the first."""

    records: Sequence[Record]
    num_bad: int = 0
    why: str = ""

    @property
    def notes(self) -> list[str]:
        """What was left out, in sentences."""
        return [f"{self.num_bad} rows could not be read; the first: {self.why}"] if self.num_bad else []


def found(source: SourceSpec, *, where: str, system: str | None = None, layout: str | None = None) -> Found:
    """All records of `source`, as they are: nothing is repaired, cut or taken out.

    Args:
        where: what the user calls it, for errors.
        system: what stands before records without a system message.

    Raises:
        NotFoundError, SpecError: it is not there, of no kind that can be read, or holds no record.
    """
    source = at_commit(source)
    records: list[Record] = []
    bad: list[str] = []
    for task in tasks([source], Reading(layout, root_of([source])), is_held_out=True):
        for row in task.found:
            made = row if isinstance(row, Bad) else record_of(row, task.layout, source, system=system, source_number=0)
            if isinstance(made, Bad):
                bad.append(f"{made.origin}: {made.message}")
            else:
                records.append(made)
    if not records:
        raise SpecError([Problem(where, source.path, "at least one record", *bad[:1])])
    return Found(records, len(bad), bad[0] if bad else "")
