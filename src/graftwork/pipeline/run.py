"""The main job: from a recipe to an adapter and what it brought.

Finished steps with unchanged inputs are not done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graftwork.core.errors import IntegrityError, NotFoundError, Problem, SpecError
from graftwork.pipeline.crew import SOLO, Agreed, leading
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.parallel import ONE, Parallel, refuse_unfit, seat_here
from graftwork.pipeline.recipes import effective_text, read_request, recipe_digest
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.watch import Quiet, Watch
from graftwork.pipeline.work import Work

if TYPE_CHECKING:
    from graftwork.base.load import Base
    from graftwork.pipeline.stages import Stage

Until = Literal["prepare", "train", "evaluate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """What a run made.

    Attributes:
        recipe_digest: names the request.
        steps: every step that was asked for, with its summary.
    """

    folder: Path
    recipe_digest: str
    steps: dict[str, Done]

    @property
    def adapter(self) -> Path:
        """The adapter's folder; of full tuning the model's."""
        is_full = "model_digest" in self.steps["train"].summary if "train" in self.steps else False
        return self.folder / ("model" if is_full else "adapter")

    @property
    def evaluation(self) -> dict[str, Any]:
        """What the held-out records say; empty before the evaluation."""
        done = self.steps.get("evaluate")
        return dict(done.summary) if done else {}


def run(
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    settings: Sequence[str] = (),
    until: Until = "evaluate",
    watch: Watch | None = None,
    workers: int | None = None,
    parallel: Parallel = ONE,
) -> RunResult:
    """Do what the recipe asks for, up to and with the step `until`.

    Args:
        out: folder of the run; `runs/<recipe name>` by default.
        settings: `path.to.key=value` over the recipe.
        watch: told what goes on.
        workers: processes that prepare data; as many as pay by default. The result is the same for any number.
        parallel: how many processes train together. The result is the same for any number. Where torchrun or
            accelerate started several, all of theirs do, and the call returns in each when the first one is done.

    Raises:
        GraftworkError: in words for its user.
        Interrupted: asked to stop; the same call goes on from there.
    """
    spec = read_request(Path(recipe), settings)
    return run_spec(spec, out=out, until=until, watch=watch, workers=workers, parallel=parallel)


def run_spec(
    spec: RunSpec,
    *,
    out: str | Path | None = None,
    until: Until = "evaluate",
    watch: Watch | None = None,
    workers: int | None = None,
    base: Base | None = None,
    parallel: Parallel = ONE,
) -> RunResult:
    """As `run`, for a recipe that is read already, its paths whole; `base` if it is in memory already, as wanted."""
    path = Path(out) if out else Path("runs") / spec.name
    watch, seat = watch or Quiet(), seat_here()
    refuse_unfit(spec, parallel, seat)
    if seat is not None and seat.rank > 0:
        from graftwork.pipeline.following import follow

        follow(seat, watch)
        return RunResult(folder=path, recipe_digest=recipe_digest(spec), steps=RunFolder(path).steps())
    with RunFolder(path) as folder, leading(parallel, seat, say=watch.say) as crew:
        at_hand = None if crew.shards else base  # a base that is spread is loaded so by every process
        work = Work(spec=spec, folder=folder, watch=Agreed(watch, crew), workers=workers, at_hand=at_hand, crew=crew)
        steps = dict(_steps(work, until))
    return RunResult(folder=path, recipe_digest=recipe_digest(spec), steps=steps)


def checked_and_prepared(work: Work) -> tuple[Done, Done]:
    """Check and prepare; what is wrong with the one and with the other is told together."""
    from graftwork.pipeline.check import check  # here and below: what is not asked for is not loaded
    from graftwork.pipeline.prepare import prepare

    done: list[Done] = []
    problems: list[Problem] = []
    for step in (check, prepare):
        try:
            done.append(step(work))
        except SpecError as error:
            problems += error.problems
        except (NotFoundError, IntegrityError) as error:  # of the base; the other step needs it too
            if not problems:
                raise
            raise SpecError([*problems, Problem("base", work.spec.base, "a base that is there", str(error))]) from error
    if problems:
        raise SpecError(problems)
    return done[0], done[1]


def _steps(work: Work, until: Until) -> list[tuple[str, Done]]:
    from graftwork.pipeline.stages import before_training, earlier_stages

    with earlier_stages(work) as earlier:
        told = before_training([*earlier, work], checked_and_prepared)
        work.folder.keep_recipe(effective_text(work.spec))
        work.stop_if_asked("prepared")
        checked, prepared = told[-1]
        done = [("check", checked), ("prepare", prepared)]
        if until == "prepare":
            return done
        stage, before, base = _earlier_trained(work, earlier, told)
    work = replace(work, at_hand=base)
    trained = _trained(work, prepared, stage)
    done = [*before, *done]
    done.append(("train", trained))
    work.stop_if_asked("trained")
    if until == "train":
        return done
    from graftwork.pipeline.evaluate import evaluate
    from graftwork.pipeline.evaluation.baseline import baseline

    crew = work.crew if work.crew.shards else SOLO  # a base that is spread answers only where all are
    beside = baseline(work, prepared)
    done += [("baseline", beside)] if beside else []
    done.append(("evaluate", crew.do(evaluate, work, prepared, trained, beside)))
    from graftwork.pipeline.reporting import write_report

    write_report(work.folder.path)
    return done


def _earlier_trained(
    work: Work, earlier: Sequence[Work], told: Sequence[tuple[Done, Done]]
) -> tuple[Stage | None, list[tuple[str, Done]], Base | None]:
    """Train the stages before the last, one after another; with what the last one goes on with, what was done, and the
    base, if it was needed."""
    from graftwork.pipeline.stages import Stage, after, folder_name

    done, base = [], work.at_hand
    names = [stage.name for stage in work.spec.stages]
    stage = Stage(name=names[0]) if names else None
    for number, (one, (checked, prepared)) in enumerate(zip(earlier, told, strict=False), 1):
        assert stage is not None
        work.watch.say(f"stage {number} of {len(names)}: {stage.name}")
        one = replace(one, at_hand=base)
        trained = _trained(one, prepared, stage)
        base = one.in_memory
        work.stop_if_asked(f"stage {stage.name} trained")
        where = folder_name(number, stage.name)
        done += [(f"{where}/{n}", d) for n, d in (("check", checked), ("prepare", prepared), ("train", trained))]
        stage = after(stage, one, prepared, trained, names[number])
    if names:
        work.watch.say(f"stage {len(names)} of {len(names)}: {names[-1]}")
    return stage, done, base


def _trained(work: Work, prepared: Done, stage: Stage | None) -> Done:
    from graftwork.pipeline.fit import fitted
    from graftwork.pipeline.train_inputs import train_inputs

    work = fitted(work, prepared, stage)
    is_done = work.folder.still_done("train", train_inputs(work, prepared, stage)) is not None
    crew = SOLO if is_done else work.crew  # nobody is called for what is done already
    if work.spec.is_full:
        from graftwork.pipeline.full import train_full

        return crew.do(train_full, work, prepared)
    from graftwork.pipeline.train import train_adapter

    return crew.do(train_adapter, work, prepared, stage)
