"""The main job: from a recipe to an adapter and what it brought.

Finished steps with unchanged inputs are not done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graftwork.core.errors import IntegrityError, NotFoundError, Problem, SpecError
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.recipes import effective_text, read_request, recipe_digest
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.watch import Quiet, Watch
from graftwork.pipeline.work import Work

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
        """The adapter's folder."""
        return self.folder / "adapter"

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
) -> RunResult:
    """Do what the recipe asks for, up to and with the step `until`.

    Args:
        out: folder of the run; `runs/<recipe name>` by default.
        settings: `path.to.key=value` over the recipe.
        watch: told what goes on.
        workers: processes that prepare data; as many as pay by default. The result is the same for any number.

    Raises:
        GraftworkError: in words for its user.
        Interrupted: asked to stop; the same call goes on from there.
    """
    return run_spec(read_request(Path(recipe), settings), out=out, until=until, watch=watch, workers=workers)


def run_spec(
    spec: RunSpec,
    *,
    out: str | Path | None = None,
    until: Until = "evaluate",
    watch: Watch | None = None,
    workers: int | None = None,
) -> RunResult:
    """As `run`, for a recipe that is read already, its paths whole."""
    path = Path(out) if out else Path("runs") / spec.name
    with RunFolder(path) as folder:
        work = Work(spec=spec, folder=folder, watch=watch or Quiet(), workers=workers)
        steps = dict(_steps(work, until))
    return RunResult(folder=path, recipe_digest=recipe_digest(spec), steps=steps)


def _before_training(work: Work) -> tuple[Done, Done]:
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
    checked, prepared = _before_training(work)
    work.folder.keep_recipe(effective_text(work.spec))
    work.stop_if_asked("prepared")
    done = [("check", checked), ("prepare", prepared)]
    if until == "prepare":
        return done
    from graftwork.pipeline.train import train_adapter

    trained = train_adapter(work, prepared)
    done.append(("train", trained))
    work.stop_if_asked("trained")
    if until == "train":
        return done
    from graftwork.pipeline.evaluate import evaluate

    return [*done, ("evaluate", evaluate(work, prepared, trained))]
