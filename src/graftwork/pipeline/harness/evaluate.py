"""`harness`: tasks of lm-evaluation-harness asked of a base and of what was trained on it, item by item."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.evaluation.estimate import mean_of

if TYPE_CHECKING:
    from graftwork.pipeline.sides import Side, Sides

INSTALL = "lm-evaluation-harness is not installed: pip install 'graftwork[lm-eval]'."
LONGEST = 4096
"""Tokens of an input where the base sets no limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    """What is asked.

    Attributes:
        names: of tasks, as the harness calls them.
        folder: of further tasks, YAML files; None for the harness's own alone.
        limit: items of each task; None for all.
        shots: examples in front of each; None for what the task says.
        as_chat: whether questions are written by the base's chat template.
    """

    names: tuple[str, ...]
    folder: Path | None = None
    limit: int | None = None
    shots: int | None = None
    as_chat: bool = False


def refuse_absent() -> None:
    """Raise NotFoundError, with what to do, where the harness is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        raise NotFoundError(INSTALL)


def harness(sides: Sides, tasks: Tasks, *, batch_size: int) -> dict[str, Any]:
    """Both sides on the same tasks: what the harness says of each, and the difference item by item.

    Raises:
        NotFoundError: the harness is not installed, or a task's data is not to be had.
        SpecError: it knows no such task, or one wants answers drawn at random.
    """
    refuse_absent()
    asked = {"base": sides.base, "adapter": sides.trained}
    told = {name: evaluated(side, tasks, batch_size) for name, side in asked.items()}
    return {
        "harness": _version(),
        "tasks": [_of_task(name, told["base"], told["adapter"]) for name in told["base"]["results"]],
        "num_cut": told["base"]["num_cut"],
    }


def evaluated(side: Side, tasks: Tasks, batch_size: int) -> dict[str, Any]:
    """One side on the tasks: the harness's own results and samples. Raises as `harness`."""
    from lm_eval.evaluator import simple_evaluate

    from graftwork.pipeline.harness.model import BankModel

    manager = _manager(tasks)
    context = side.bank.base.facts.context_tokens or LONGEST
    model = BankModel(side, batch_size=batch_size, context_tokens=context)
    try:
        told = simple_evaluate(
            model=model,
            tasks=list(tasks.names),
            num_fewshot=tasks.shots,
            limit=tasks.limit,
            apply_chat_template=tasks.as_chat,
            task_manager=manager,
            bootstrap_iters=0,
            log_samples=True,
        )
    except (OSError, ConnectionError) as error:
        raise NotFoundError(f"the data of a task cannot be had: {str(error).splitlines()[0]}") from error
    return {"results": told["results"], "samples": told["samples"], "num_cut": model.num_cut}


def _manager(tasks: Tasks) -> Any:
    """What knows the tasks: those of the folder alone if that is enough, since the harness has thousands to read."""
    from lm_eval.tasks import TaskManager

    if tasks.folder is not None:
        own = TaskManager(include_path=str(tasks.folder), include_defaults=False)
        if set(tasks.names) <= set(own.all_tasks):
            return own
    manager = TaskManager(include_path=str(tasks.folder) if tasks.folder else None)
    _refuse_unknown(tasks.names, manager.all_tasks)
    return manager


def _refuse_unknown(names: Sequence[str], known: Sequence[str]) -> None:
    problems = [
        Problem("--tasks", name, "a task of the harness, or of --include", did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise SpecError(problems)


def _of_task(name: str, base: Mapping[str, Any], adapter: Mapping[str, Any]) -> dict[str, Any]:
    """One task's metrics; a group of tasks has no items of its own, so no difference either."""
    results = base["results"][name], adapter["results"][name]
    metrics = [
        {
            "metric": key,
            "base": value,
            "adapter": results[1][key],
            **_difference(key.partition(",")[0], base["samples"].get(name, ()), adapter["samples"].get(name, ())),
        }
        for key, value in results[0].items()
        if isinstance(value, int | float) and "_stderr" not in key and "," in key
    ]
    return {"task": name, "num_items": len(base["samples"].get(name, ())), "metrics": metrics}


def _difference(metric: str, base: Sequence[Mapping[str, Any]], adapter: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the adapter has over the base on the same items; nothing for a metric that is no mean of theirs."""
    pairs = [
        (float(a[metric]), float(b[metric]))
        for a, b in zip(base, adapter, strict=False)
        if a.get("doc_hash") == b.get("doc_hash") and all(isinstance(x.get(metric), int | float) for x in (a, b))
    ]
    if len(pairs) < 2 or len(pairs) < len(base):
        return {}
    return {"difference": asdict(mean_of([b - a for a, b in pairs]))}


def _version() -> str:
    from importlib.metadata import version

    return f"lm_eval {version('lm_eval')}"
