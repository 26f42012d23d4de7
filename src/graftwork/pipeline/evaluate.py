"""Step `evaluate`: base and adapter on the held-out records, side by side in the same batches.

An adapter answers on all that it stands on; the loss of those alone is told too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.core.files import write_json
from graftwork.core.spec import plain
from graftwork.data.encode import Encoded
from graftwork.data.records import Record
from graftwork.data.split import FEWEST
from graftwork.evaluation.answers import exact_answers
from graftwork.evaluation.estimate import mean_of, wilson
from graftwork.evaluation.held_out import target_loss
from graftwork.pipeline.below import told_below
from graftwork.pipeline.folder import Done
from graftwork.pipeline.prepare import EVALUATION
from graftwork.pipeline.train import ADAPTER
from graftwork.pipeline.work import Work, prepared_records, prepared_tokens
from graftwork.serving.generate import answers

RESULT = "evaluation.json"
Stack = tuple[Handle, ...]
"""The adapter, behind all that it stands on."""

SHOWN = 8
"""Records whose answers are kept in full, from the first."""


def evaluate(work: Work, prepared: Done, trained: Done) -> Done:
    """Do the step, unless it is done already."""
    spec = work.spec
    began_s = time.monotonic()
    inputs = {
        "base": work.fingerprint.digest,
        "dtype": spec.dtype,
        "attention": spec.attention,
        **({} if spec.quantised == "off" else {"quantised": spec.quantised}),
        "adapter": trained.summary["adapter_digest"],
        "data": [prepared.outputs[name] for name in (EVALUATION, "data/evaluation.tokens", "data/evaluation.targets")],
        "evaluation": dict(plain(spec.evaluation)),
        **told_below(work),
    }
    if done := work.folder.still_done("evaluate", inputs):
        work.watch.say("evaluate: done already")
        return done
    bank = AdapterBank(work.base)
    row = bank.load_standing(work.folder.path / ADAPTER)
    records, passed_over = _answerable(work)
    encoded = prepared_tokens(work, "evaluation", prepared.summary)
    result = {
        "loss": _losses(work, bank, row, encoded),
        "passed_over": dict(passed_over),
        **(_answers(work, bank, row, records) if len(records) >= FEWEST else {}),
    }
    for handle in row:
        bank.remove(handle)
    write_json(work.folder.path / RESULT, result)
    return work.folder.record("evaluate", inputs, [RESULT], result, began_s)


def _answerable(work: Work) -> tuple[list[Record], Counter[str]]:
    """The first held-out records that can be answered, and how many were passed over for which reason."""
    chosen: list[Record] = []
    passed_over: Counter[str] = Counter()
    for record in prepared_records(work.folder.path / EVALUATION):
        if len(chosen) == work.spec.evaluation.answers:
            break
        if reason := _cannot_be_answered(work, record):
            passed_over[reason] += 1
        else:
            chosen.append(record)
    return chosen, passed_over


def _cannot_be_answered(work: Work, record: Record) -> str:
    if not record.prompt:
        return "it asks nothing"
    if record.tools:
        return "it calls tools"
    context, room = work.context_tokens, work.spec.evaluation.max_new_tokens
    if context is not None and len(work.chat.prompt(record.prompt)) + room > context:
        return "no room for an answer in the base's context"
    return ""


def _losses(work: Work, bank: AdapterBank, row: Stack, encoded: Sequence[Encoded]) -> dict[str, Any]:
    split, size = work.base.halves, work.spec.evaluation.batch_size
    work.watch.evaluating("held-out loss", 0, len(encoded))
    measured = []
    owners = (None, row[:-1], row) if len(row) > 1 else (None, row)
    for owner in owners:
        loss = target_loss(split, encoded, partial(_all_by, bank, owner), batch_size=size, device=work.base.device)
        measured.append(loss)
        work.stop_if_asked("trained, evaluation begun")
        work.watch.evaluating("held-out loss", len(measured) * len(encoded) // len(owners), len(encoded))
    base, *below, adapter = measured
    return {
        "unit": "nats per target token",
        "num_records": len(encoded),
        "base": asdict(base),
        **({"below": asdict(below[0])} if below else {}),
        "adapter": asdict(adapter),
        "change_frac": adapter.mean / base.mean - 1,
    }


def _all_by(bank: AdapterBank, owner: Stack | None, num_rows: int) -> AbstractContextManager[object]:
    return bank.route([owner] * num_rows)


def _answers(work: Work, bank: AdapterBank, row: Stack, records: Sequence[Record]) -> dict[str, Any]:
    spec = work.spec.evaluation
    asked = list(records)
    said: dict[Stack | None, list[str]] = {None: [], row: []}
    for at in range(0, len(asked), spec.batch_size):
        work.watch.evaluating("answers", at, len(asked))
        prompts = [record.prompt for record in asked[at : at + spec.batch_size]]
        rows = [None] * len(prompts) + [row] * len(prompts)
        both = answers(bank, [*prompts, *prompts], rows, max_new_tokens=spec.max_new_tokens)
        said[None] += both[: len(prompts)]
        said[row] += both[len(prompts) :]
        work.stop_if_asked("trained, evaluation begun")
    work.watch.evaluating("answers", len(asked), len(asked))
    base, of_base = exact_answers(asked, said[None])
    adapter, of_adapter = exact_answers(asked, said[row])
    pairs = list(zip(of_base, of_adapter, strict=True))
    return {
        "exact_answers": {
            "unit": "share answered word for word",
            "num_records": len(asked),
            "base": {**asdict(base), "interval": wilson(base)},
            "adapter": {**asdict(adapter), "interval": wilson(adapter)},
            "gain": asdict(mean_of([float(a.is_exact) - float(b.is_exact) for b, a in pairs])),
        },
        "examples": [
            {"prompt": b.prompt, "expected": b.expected, "base": b.said, "adapter": a.said} for b, a in pairs[:SHOWN]
        ],
    }
