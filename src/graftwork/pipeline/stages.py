"""Stages at work: each a run of its own in `stages/N-name`, the last one the run itself; one adapter goes through all.

A stage begins from the adapter that the one before wrote: from its file, so that a stage that is done is never needed
again, and two stages are bit for bit one run and then another that goes on from its adapter. The optimizer, the
schedule and the order of records begin anew in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import parse, plain
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.provenance import data_told
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.stage_spec import PARTS, each_once
from graftwork.pipeline.work import Work

FOLDER = "stages"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One of a run's trainings, seen from the others.

    Attributes:
        start: folder of the adapter that it goes on with; None in the first stage, which begins with a fresh one.
        start_digest: digest of that adapter.
        before: what the card says of the stages before, in order.
    """

    name: str
    start: Path | None = None
    start_digest: str | None = None
    before: tuple[Mapping[str, Any], ...] = ()

    @property
    def inputs(self) -> dict[str, Any]:
        """What the inputs of its training say of it: nothing where it is like a run of its own."""
        return {} if self.start_digest is None else {"start": self.start_digest}

    def lineage(self, work: Work, prepared: Done, num_steps: int, adapter_digest: str) -> list[dict[str, Any]]:
        """What its card says of the stages so far, itself the last: their data, their steps, from which to which
        adapter each went."""
        own = {
            "name": self.name,
            "data": data_told(work, prepared),
            "seed": work.spec.training.seed,
            "num_steps": num_steps,
            "start": self.start_digest,
            "adapter": adapter_digest,
        }
        return [*map(dict, self.before), own]


def folder_name(number: int, name: str) -> str:
    """Of the stage with this number, from 1, within the run's folder."""
    return f"{FOLDER}/{number}-{name}"


@contextmanager
def earlier_stages(work: Work) -> Iterator[list[Work]]:
    """The stages before the last as runs of their own, their folders taken; none without stages."""
    with ExitStack() as stack:
        found = []
        for number, spec in enumerate(specs_of(work.spec)[:-1], 1):
            folder = RunFolder(work.folder.path / folder_name(number, work.spec.stages[number - 1].name))
            found.append(replace(work, spec=spec, folder=stack.enter_context(folder)))
        yield found


def specs_of(spec: RunSpec) -> list[RunSpec]:
    """Each stage as the request of a run of its own; without stages the request itself."""
    if not spec.stages:
        return [spec]
    shared = {key: value for key, value in plain(spec).items() if key != "stages"}
    return [parse(RunSpec, {**shared, **{part: plain(getattr(s, part)) for part in PARTS}}) for s in spec.stages]


def before_training(works: Sequence[Work], prepared: Callable[[Work], tuple[Done, Done]]) -> list[tuple[Done, Done]]:
    """Check and prepare every stage before the first is trained.

    Raises:
        SpecError: all that is wrong with any.
    """
    done, problems = [], []
    for number, work in enumerate(works):
        try:
            done.append(prepared(work))
        except SpecError as error:
            problems += [_placed(p, number, staged=len(works) > 1) for p in error.problems]
    if problems:
        raise SpecError(each_once(problems))
    return done


def after(stage: Stage, work: Work, prepared: Done, trained: Done, name: str) -> Stage:
    """The stage called `name`, which goes on with what the one before left."""
    summary = trained.summary
    digest = summary["adapter_digest"]
    return Stage(
        name=name,
        start=work.folder.path / "adapter",
        start_digest=digest,
        before=tuple(stage.lineage(work, prepared, summary["kept_step"], digest)),
    )


def _placed(problem: Problem, number: int, *, staged: bool) -> Problem:
    told = problem.path.replace("[", ".").split(".")[0] in PARTS
    return replace(problem, path=f"stages[{number}].{problem.path}") if staged and told else problem
