"""Step `evaluate`: base and adapter on the held-out records, side by side in the same batches.

An adapter answers on all that it stands on; the loss of those alone is told too. A model that was tuned whole is put
beside its base, each in a pass of its own. Where the recipe names dimensions, they follow, with their result in full.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from graftwork.core.files import write_json
from graftwork.data.encode import Encoded
from graftwork.data.records import Record
from graftwork.data.split import FEWEST
from graftwork.evaluation.answers import exact_answers
from graftwork.evaluation.estimate import mean_of, wilson
from graftwork.evaluation.held_out import target_loss
from graftwork.evaluation.result import told
from graftwork.pipeline.evaluate_inputs import evaluate_inputs
from graftwork.pipeline.evaluation.look import files_of
from graftwork.pipeline.evaluation.of_run import closely
from graftwork.pipeline.folder import Done
from graftwork.pipeline.prepare import EVALUATION
from graftwork.pipeline.sides import Sides, sides_of
from graftwork.pipeline.work import Work, prepared_records, prepared_tokens

RESULT, CERTIFICATE = "evaluation.json", "certificate.json"
CLOSELY = "result"
"""Where in it the result of the dimensions lies, as `evaluation.result` reads it."""
SHOWN = 8
"""Records whose answers are kept in full, from the first."""


def evaluate(work: Work, prepared: Done, trained: Done, baseline: Done | None = None) -> Done:
    """Do the step, unless it is done already; `baseline` is full tuning on the same records, to stand beside it."""
    spec = work.spec
    began_s = time.monotonic()
    inputs = evaluate_inputs(work, prepared, trained, baseline)
    if done := work.folder.still_done("evaluate", inputs):
        work.watch.say("evaluate: done already")
        return done
    sides = sides_of(work)
    records, passed_over = _answerable(work)
    encoded = prepared_tokens(work, "evaluation", prepared.summary)
    result = {
        "loss": _losses(work, sides, encoded),
        "passed_over": dict(passed_over),
        **(_answers(work, sides, records) if len(records) >= FEWEST else {}),
        **_closely(work, sides, prepared, trained, baseline),
    }
    sides.close()
    write_json(work.folder.path / RESULT, result)
    outputs = [RESULT, *((CERTIFICATE, *files_of(spec.evaluation)) if spec.evaluation.dimensions else ())]
    return work.folder.record("evaluate", inputs, outputs, result, began_s)


def _closely(work: Work, sides: Sides, prepared: Done, trained: Done, baseline: Done | None) -> dict[str, Any]:
    """The result of the dimensions that the recipe names, its certificate written; nothing where it names none."""
    if not work.spec.evaluation.dimensions:
        return {}
    found = closely(work, sides, prepared, trained, baseline)
    write_json(work.folder.path / CERTIFICATE, found.certificate)
    return {CLOSELY: told(found.result)}


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


def _losses(work: Work, sides: Sides, encoded: Sequence[Encoded]) -> dict[str, Any]:
    size = work.spec.evaluation.batch_size
    work.watch.evaluating("held-out loss", 0, len(encoded))
    measured = []
    asked = [side for side in (sides.base, sides.below, sides.trained) if side is not None]
    for side in asked:
        base = side.bank.base
        measured.append(target_loss(base.halves, encoded, side.routed, batch_size=size, device=base.device))
        work.stop_if_asked("trained, evaluation begun")
        work.watch.evaluating("held-out loss", len(measured) * len(encoded) // len(asked), len(encoded))
    of_base, *below, adapter = measured
    return {
        "unit": "nats per target token",
        "num_records": len(encoded),
        "base": asdict(of_base),
        **({"below": asdict(below[0])} if below else {}),
        "adapter": asdict(adapter),
        "change_frac": adapter.mean / of_base.mean - 1,
    }


def _answers(work: Work, sides: Sides, records: Sequence[Record]) -> dict[str, Any]:
    spec = work.spec.evaluation
    asked = list(records)
    by_base: list[str] = []
    by_adapter: list[str] = []
    for at in range(0, len(asked), spec.batch_size):
        work.watch.evaluating("answers", at, len(asked))
        prompts = [record.prompt for record in asked[at : at + spec.batch_size]]
        more = sides.answers(prompts, max_new_tokens=spec.max_new_tokens)
        by_base += more[0]
        by_adapter += more[1]
        work.stop_if_asked("trained, evaluation begun")
    work.watch.evaluating("answers", len(asked), len(asked))
    base, of_base = exact_answers(asked, by_base)
    adapter, of_adapter = exact_answers(asked, by_adapter)
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
