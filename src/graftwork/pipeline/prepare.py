"""Step `prepare`: files of records to training and held-out records, checked against the base, with a report."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from graftwork.core.digests import digest_of_file
from graftwork.core.errors import Problem, SpecError
from graftwork.core.files import write_json
from graftwork.core.spec import plain
from graftwork.data.encode import Encoded, encode
from graftwork.data.records import Record
from graftwork.data.sources import read_records
from graftwork.data.spec import HeldOut
from graftwork.data.split import FEWEST, Split, digest_of_records, overlap, split
from graftwork.pipeline.folder import Done
from graftwork.pipeline.work import Work, write_records

TRAIN, EVALUATION, REPORT = "data/train.jsonl", "data/evaluation.jsonl", "data/report.json"


def prepare(work: Work) -> Done:
    """Do the step, unless it is done already.

    Raises:
        NotFoundError: a file is not there.
        SpecError: every record that cannot be used, by file and line.
    """
    began_s, inputs = time.monotonic(), _inputs(work)
    if done := work.folder.still_done("prepare", inputs):
        work.watch.say("prepare: done already")
        return done
    records = _read(work)
    train, evaluation = _encoded(work, records)
    report = _report(records, train, evaluation)
    write_records(work.folder.path / TRAIN, records.train)
    write_records(work.folder.path / EVALUATION, records.evaluation)
    write_json(work.folder.path / REPORT, report)
    return work.folder.record("prepare", inputs, [TRAIN, EVALUATION, REPORT], report, began_s)


def _inputs(work: Work) -> dict[str, Any]:
    spec = work.spec
    files = [spec.data.train] + ([spec.data.evaluation] if isinstance(spec.data.evaluation, str) else [])
    told = {key: value for key, value in plain(spec.data).items() if key != "train"}
    return {
        "data": told if isinstance(spec.data.evaluation, HeldOut) else {**told, "evaluation": "a file"},
        "seed": spec.training.seed,
        "answers": [spec.evaluation.answers, spec.evaluation.max_new_tokens],
        "files": [digest_of_file(Path(path)) for path in files],
        "tokenizer": work.fingerprint.tokenizer,
        "template": work.fingerprint.template,
    }


def _read(work: Work) -> Split:
    spec = work.spec.data
    records = read_records(Path(spec.train), layout=spec.layout, system=spec.system)
    if isinstance(spec.evaluation, HeldOut):
        return split(records, spec.evaluation, seed=work.spec.training.seed)
    held = read_records(Path(spec.evaluation), layout=spec.layout, system=spec.system)
    if shared := overlap(records, held):
        expected = "no record that is also trained on"
        raise SpecError(Problem(str(r.origin), r.question or r.answer, expected) for r in shared)
    if len(held) < FEWEST:
        expected = f"at least {FEWEST} records"
        raise SpecError([Problem("data.evaluation", f"{len(held)} record", expected, "One shows no spread.")])
    return Split(tuple(records), tuple(held))


def _encoded(work: Work, records: Split) -> tuple[list[Encoded], list[Encoded]]:
    """Both sides as tokens: a record that cannot be used stops the run here, before anything is spent."""
    together = encode([*records.train, *records.evaluation], work.chat.marked, max_tokens=work.max_tokens)
    _refuse_unanswerable(work, records.evaluation[: work.spec.evaluation.answers])
    return together[: len(records.train)], together[len(records.train) :]


def _refuse_unanswerable(work: Work, records: Sequence[Record]) -> None:
    """Refuse, before anything is spent, held-out prompts that leave no room for an answer in the base's context."""
    context, room = work.context_tokens, work.spec.evaluation.max_new_tokens
    if context is None:
        return
    if room >= context:
        raise SpecError([Problem("evaluation.max_new_tokens", room, f"less than the base's context of {context}")])
    expected = f"a prompt of at most {context - room} tokens: the base's context less evaluation.max_new_tokens"
    problems = []
    for record in records:
        try:
            num_tokens = len(work.chat.prompt(record.prompt))
        except SpecError as error:
            problems += [replace(p, path=f"{record.origin}: {p.path}", hint="To answer it.") for p in error.problems]
            continue
        if num_tokens + room > context:
            problems.append(Problem(str(record.origin), f"{num_tokens} tokens", expected))
    if problems:
        raise SpecError(problems)


def _report(records: Split, train: Sequence[Encoded], evaluation: Sequence[Encoded]) -> dict[str, Any]:
    return {"train": _side(records.train, train), "evaluation": _side(records.evaluation, evaluation)}


def _side(records: Sequence[Record], encoded: Sequence[Encoded]) -> dict[str, Any]:
    lengths = sorted(len(one.tokens_T) for one in encoded)
    return {
        "num_records": len(records),
        "num_different": len({record.digest for record in records}),
        "num_tokens": sum(lengths),
        "num_targets": sum(one.num_targets for one in encoded),
        "median_tokens": lengths[len(lengths) // 2],
        "longest_tokens": lengths[-1],
        "digest": digest_of_records(records),
    }
