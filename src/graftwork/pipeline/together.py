"""Several recipes trained together: each has its own run folder and ends with the bytes that it would have alone.

They share the base and the forward passes over it; data, method, rank, rate, schedule, length, checkpoints and looks at
the held-out loss are each one's own. One may end, fail or be done already while the others go on. Because the bytes are
those of a run alone, a run that was begun together may go on alone, and the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Interrupted, Problem, SpecError, WorkError
from graftwork.pipeline.computing import OTHERWISE, computed_with
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.recipes import effective_text, recipe_digest
from graftwork.pipeline.run import RunResult, checked_and_prepared
from graftwork.pipeline.watch import Quiet, Watch
from graftwork.pipeline.work import Work

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.pipeline.spec import RunSpec
    from graftwork.pipeline.train import Begun
    from graftwork.training.report import StepReport

SHARED = ("base", "dtype", "attention", "quantised")
"""What a base in memory follows from."""

MOST_TOKENS = 1024
"""Of several runs' micro-batches in one forward pass."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of each run.

    Attributes:
        results: by name, of those that ended.
        failures: by name, why the others did not.
    """

    results: dict[str, RunResult] = field(default_factory=dict)
    failures: dict[str, WorkError] = field(default_factory=dict)


def run_together(
    specs: Sequence[RunSpec],
    *,
    out: Path | None = None,
    evaluates: bool = True,
    watch_of: Callable[[str], Watch] = lambda _: Quiet(),
    most_tokens: int = MOST_TOKENS,
) -> Outcomes:
    """Do what each of `specs` asks for, training them in the same steps.

    Args:
        out: holds the runs' folders, each by its name; `runs` by default.
        watch_of: who watches the run of a name.
        most_tokens: of several runs in one forward pass; the result does not depend on it.

    Raises:
        SpecError: they cannot share a base, or one of them is wrong; all that is wrong is told together.
        Interrupted: asked to stop; the same call goes on from there.
    """
    refuse_unfit(specs)
    outcomes = Outcomes()
    with ExitStack() as stack:
        folders = [stack.enter_context(RunFolder((out or Path("runs")) / spec.name)) for spec in specs]
        pairs = zip(specs, folders, strict=True)
        works = [Work(spec=spec, folder=folder, watch=watch_of(spec.name)) for spec, folder in pairs]
        told = _before_training(works)
        for work in works:
            work.folder.keep_recipe(effective_text(work.spec))
        joint = Joint()
        joint.train(works, [prepared for _, prepared in told], most_tokens=most_tokens)
        outcomes.failures.update(joint.failures)
        for work, (checked, prepared) in zip(works, told, strict=True):
            if (name := work.spec.name) in joint.done:
                steps = {"check": checked, "prepare": prepared, "train": joint.done[name]}
                outcomes.results[name] = _ended(joint.with_base(work), steps, evaluates=evaluates)
    return outcomes


def refuse_unfit(specs: Sequence[RunSpec]) -> None:
    """Raises SpecError: these recipes cannot be trained together."""
    first, problems = specs[0], []
    for number, spec in enumerate(specs):
        where = _where(number, spec)
        for key in SHARED:
            mine, theirs = getattr(spec, key), getattr(first, key)
            if mine != theirs:
                problems.append(Problem(f"{where}.{key}", mine, f"{theirs!r}, as in {first.name}"))
        if spec.name in {other.name for other in specs[:number]}:
            problems.append(Problem(f"{where}.name", spec.name, "a name that no other of them has"))
        if spec.stages:
            problems.append(Problem(f"{where}.stages", len(spec.stages), "none", "Run it alone."))
        if spec.training.accumulation == "auto":
            hint = "What fits into memory is measured for a run alone; fit.json of such a run has the number."
            problems.append(Problem(f"{where}.training.accumulation", "auto", "a number", hint))
        if spec.is_full:
            hint = "Full tuning has a base of its own."
            problems.append(Problem(f"{where}.adapter.method", "full", "an adapter", hint))
    if problems:
        raise SpecError(problems)


def _where(number: int, spec: RunSpec) -> str:
    return f"recipe {number + 1} ({spec.name})"


def _before_training(works: Sequence[Work]) -> list[tuple[Done, Done]]:
    done, problems = [], []
    for number, work in enumerate(works):
        try:
            done.append(checked_and_prepared(work))
        except SpecError as error:
            where = _where(number, work.spec)
            problems += [replace(p, path=f"{where}.{p.path}") for p in error.problems]
    if problems:
        raise SpecError(problems)
    return done


@dataclass(slots=True)
class Joint:
    """The step `train` of several runs.

    Attributes:
        bank: with all their adapters; None until one needs it.
        done: by name, what is done.
        failures: by name, why a run ended before its end.
    """

    bank: AdapterBank | None = None
    done: dict[str, Done] = field(default_factory=dict)
    failures: dict[str, WorkError] = field(default_factory=dict)

    def with_base(self, work: Work) -> Work:
        """`work` on the base that is in memory, if it is."""
        return work if self.bank is None else replace(work, at_hand=self.bank.base)

    def train(self, works: Sequence[Work], prepared: Sequence[Done], *, most_tokens: int) -> None:
        """Train all that is not done already.

        Raises:
            Interrupted: asked to stop; every run has saved its state.
        """
        from graftwork.pipeline.session import recomputing
        from graftwork.pipeline.train import begun_or_done

        begun: list[Begun] = []
        for work, data in zip(works, prepared, strict=True):
            one = begun_or_done(self.with_base(work), data, bank=self.bank)
            if isinstance(one, Done):
                self.done[work.spec.name] = one
            else:
                self.bank = one.trained.job.bank
                begun.append(one)
        if self.bank is None:
            return
        with (
            computed_with(_threads(begun)),
            recomputing(self.bank, asked=any(one.trained.job.spec.gradient_checkpointing for one in begun)),
        ):
            for index, ended in _ends(begun, most_tokens):
                name = begun[index].work.spec.name
                if isinstance(ended, WorkError):
                    self.failures[name] = ended
                else:
                    self.done[name] = begun[index].written(ended)


def _threads(begun: Sequence[Begun]) -> int:
    """As many as the first of them that was begun before; the others are told if theirs were others."""
    most = max(one.trained.job.first_step for one in begun)
    first = next(one for one in begun if one.trained.job.first_step == most)
    threads: int = first.trained.computing["threads"]
    for one in begun:
        if (own := one.trained.computing["threads"]) != threads:
            one.work.watch.say(f"threads {own} then and {threads} now: {OTHERWISE}")
    return threads


End = tuple[int, dict[str, Any] | WorkError]
"""Which of the runs, and how it ended."""


def _ends(begun: Sequence[Begun], most_tokens: int) -> Iterator[End]:
    """Take the steps of all, and tell of each how it ended, when it has. Raises Interrupted when all have saved."""
    from graftwork.pipeline.session import ongoing
    from graftwork.training.loop import train_together

    ended: set[int] = set()
    stopped: list[Interrupted] = []
    sessions = [ongoing(one.work, one.trained) for one in begun]
    for index, session in enumerate(sessions):
        yield from _sent(index, session, None, ended, stopped)
    jobs = [one.trained.job for one in begun]
    for index, happened in train_together(jobs, time.monotonic, ended=ended, most_tokens=most_tokens):
        if isinstance(happened, WorkError):
            sessions[index].close()
            ended.add(index)
            yield index, happened
        else:
            yield from _sent(index, sessions[index], happened, ended, stopped)
    if stopped:
        raise stopped[0]


def _sent(
    index: int,
    session: Generator[None, StepReport, dict[str, Any]],
    report: StepReport | None,
    ended: set[int],
    stopped: list[Interrupted],
) -> Iterator[End]:
    """Give a session its report, or begin it; how it ends, if it does."""
    try:
        if report is None:
            next(session)
        else:
            session.send(report)
    except StopIteration as stop:
        ended.add(index)
        yield index, stop.value
    except Interrupted as interrupted:
        ended.add(index)
        stopped.append(interrupted)
    except WorkError as error:
        ended.add(index)
        yield index, error


def _ended(work: Work, steps: Mapping[str, Done], *, evaluates: bool) -> RunResult:
    from graftwork.pipeline.evaluate import evaluate
    from graftwork.pipeline.reporting import write_report

    done = dict(steps)
    if evaluates:
        done["evaluate"] = evaluate(work, steps["prepare"], steps["train"])
        write_report(work.folder.path)
    return RunResult(folder=work.folder.path, recipe_digest=recipe_digest(work.spec), steps=done)
