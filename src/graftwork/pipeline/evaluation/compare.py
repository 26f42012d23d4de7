"""Evaluated runs side by side, from what each item scored: on the items that all were asked, and on those alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graftwork.core.digests import digest_of_file
from graftwork.core.errors import IntegrityError, NotFoundError, Problem, SpecError
from graftwork.core.files import read_json
from graftwork.evaluation.dimension import DIMENSIONS
from graftwork.evaluation.item import Item, Question, Reply, Score
from graftwork.evaluation.result import EvaluationResult, Subject, read
from graftwork.evaluation.summary import Scored, summarised
from graftwork.pipeline.evaluation.dimensions import FOLDER
from graftwork.pipeline.evaluation.summing import said
from graftwork.pipeline.folder import RunFolder

RESULT, CLOSELY = "evaluation.json", "result"
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """An evaluated run.

    Attributes:
        names: what its subjects are called here, by what they are called there.
        rows: by dimension, item and subject.
    """

    name: str
    result: EvaluationResult
    names: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Mapping[str, Row]]]


def compared_runs(paths: Sequence[Path]) -> EvaluationResult:
    """Everything trained in the other runs beside what was trained in the first, and beside the base if it is the same.

    Raises:
        SpecError: there are fewer than two, or they share no items.
        NotFoundError: one was not evaluated by dimensions.
        IntegrityError: a file is not as the evaluation wrote it.
    """
    if len(paths) < 2:
        raise SpecError([Problem("runs", len(paths), "two or more evaluated runs")])
    results = [_result(path) for path in paths]
    bases = {subject.digest for result in results for subject in result.subjects if subject.kind == "base"}
    runs = [
        _run(path, name, result, with_base=len(bases) == 1)
        for path, name, result in zip(paths, _names(paths), results, strict=True)
    ]
    notes = [] if len(bases) == 1 else ["The runs are of different bases, or computed them differently; none is shown."]
    shared = [name for name in runs[0].rows if all(name in run.rows for run in runs)]
    scored = [_scored(name, runs) for name in shared]
    if not any(one.items for one in scored):
        hint = "`graftwork evaluate RUN RUN --data FILE` asks them the same."
        raise SpecError([Problem("runs", [run.name for run in runs], "runs that were asked the same items", hint)])
    subjects = _subjects(runs)
    return summarised(subjects, scored, pairs=_pairs(subjects, runs), notes=notes)


def _result(path: Path) -> EvaluationResult:
    told: Any = read_json(path / RESULT)
    if CLOSELY not in told:
        hint = f"Evaluate it: graftwork evaluate {path}"
        raise NotFoundError(f"{path} was evaluated without dimensions, so its items are not on record. {hint}")
    done = RunFolder(path).steps().get("evaluate")
    for relative, expected in (done.outputs if done else {}).items():
        if not (path / relative).is_file() or digest_of_file(path / relative) != expected:
            raise IntegrityError(f"{path / relative} is not as the evaluation wrote it. Evaluate again.")
    return read(told[CLOSELY])


def _run(path: Path, name: str, result: EvaluationResult, *, with_base: bool) -> _Run:
    trained = [subject for subject in result.subjects if subject.kind in ("adapter", "full")]
    names = {subject.name: name if number == 0 else f"{name}/{subject.name}" for number, subject in enumerate(trained)}
    if len(trained) > 1 and trained[0].kind == trained[1].kind:  # several adapters, each with a name of its own
        names = {subject.name: f"{name}/{subject.name}" for subject in trained}
    if with_base:
        names |= {subject.name: "base" for subject in result.subjects if subject.kind == "base"}
    rows: dict[str, dict[str, dict[str, Row]]] = {}
    for dimension in result.dimensions:
        if (file := path / FOLDER / f"{dimension.name}.jsonl").is_file():
            for line in file.read_text("utf-8").splitlines():
                row = json.loads(line)
                rows.setdefault(dimension.name, {}).setdefault(row["item"], {})[row["subject"]] = row
    return _Run(name=name, result=result, names=names, rows=rows)


def _names(paths: Sequence[Path]) -> list[str]:
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _scored(name: str, runs: Sequence[_Run]) -> Scored:
    first, *others = (run.rows[name] for run in runs)
    common = [item for item in first if all(item in rows and _same(first[item], rows[item]) for rows in others)]
    left_out = len(set().union(*(run.rows[name] for run in runs))) - len(common)
    pairs = [(run, there, here) for run in runs for there, here in run.names.items()]
    rows = {here: {item: run.rows[name][item][there] for item in common} for run, there, here in pairs}
    items = [_item(next(iter(first[item].values()))) for item in common]
    return Scored(
        name=name,
        about=DIMENSIONS[name].about,
        metrics=DIMENSIONS[name].metrics,
        items=items,
        scores={
            here: {
                item: {metric: _score(value) for metric, value in row["scores"].items()} for item, row in own.items()
            }
            for here, own in rows.items()
        },
        said={here: {one.id: _said(one, own[one.id]) for one in items} for here, own in rows.items()},
        notes=[f"{left_out} items were not asked of all; they are left out."] if left_out else [],
    )


def _same(one: Mapping[str, Row], other: Mapping[str, Row]) -> bool:
    told = [{key: row[key] for key in ("questions", "group")} for rows in (one, other) for row in rows.values()]
    return all(row == told[0] for row in told)


def _item(row: Row) -> Item:
    questions = tuple(
        Question(
            prompt=tuple(one["prompt"]),
            options=tuple(one.get("options", ())),
            max_new_tokens=one.get("max_new_tokens", 64),
            is_text=one.get("is_text", False),
        )
        for one in row["questions"]
    )
    return Item(
        id=row["item"],
        group=row["group"],
        origin=row["origin"],
        questions=questions,
        score=lambda _: {},
        slices=row["slices"],
        expected=row["expected"],
    )


def _score(told: Sequence[float]) -> Score:
    return Score(told[0], told[1], tuple(told[2:]))


def _said(item: Item, row: Row) -> str:
    reply = row["replies"][0]
    told = Reply(said=reply.get("said", ""), nats=tuple(reply.get("nats", ())))
    return said(item.questions[0], told)


def _subjects(runs: Sequence[_Run]) -> list[Subject]:
    found = {
        run.names[subject.name]: replace(subject, name=run.names[subject.name])
        for run in runs
        for subject in run.result.subjects
        if subject.name in run.names
    }
    return sorted(found.values(), key=lambda subject: subject.kind != "base")


def _pairs(subjects: Sequence[Subject], runs: Sequence[_Run]) -> list[tuple[str, str]]:
    trained = [subject.name for subject in subjects if subject.kind != "base"]
    of_first = next(name for name in trained if name in runs[0].names.values())
    beside_first = [(name, of_first) for name in trained if name != of_first]
    return [*beside_first, *((name, "base") for name in trained if len(trained) < len(subjects))]
