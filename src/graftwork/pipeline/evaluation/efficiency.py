"""Efficiency, measured: subjects in turns, each reading a prompt and writing an answer of fixed lengths."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from graftwork.evaluation.dimension import DIMENSIONS
from graftwork.evaluation.result import (
    Comparison,
    DimensionResult,
    Measured,
    MetricResult,
    Subject,
    Value,
    Verdict,
    pairs_of,
)
from graftwork.evaluation.timing import Turns, difference, measured
from graftwork.pipeline.evaluation.cold_start import NO_ROOM, cold_start, has_room, seconds_of
from graftwork.serving.generate import greedy_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from graftwork.evaluation.dimensions.efficiency import EfficiencySpec
    from graftwork.pipeline.evaluation.ask import Told
    from graftwork.pipeline.evaluation.subjects import AtHand
    from graftwork.pipeline.sides import Side

NAME = "efficiency"
SHARES = {"prefill_p95_s": 0.95, "decode_p95_s": 0.95}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What is known of a subject without measuring its answers.

    Attributes:
        folder: where an adapter lies, to be loaded by another process; None where that is not known.
        loads: puts it into memory once more and takes it out again; None where that is not measured.
        num_bytes: of what must be kept of it beside its base.
        training_s: seconds that its training took; None where nothing says so.
    """

    folder: Path | None = None
    loads: Callable[[], None] | None = None
    num_bytes: int | None = None
    num_trained: int | None = None
    training_s: float | None = None


@dataclass(slots=True)
class _Times:
    """By metric, of every turn what was measured."""

    turns: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(self, name: str, times: Sequence[float]) -> None:
        self.turns.setdefault(name, []).append(list(times))


def efficiency(
    spec: EfficiencySpec, subjects: Sequence[AtHand], costs: Mapping[str, Cost], *, told: Told
) -> DimensionResult:
    """All subjects measured in turns; the first turn warms up and is not counted.

    Args:
        costs: by the name of the subject; whoever has none has nothing but its answers.
    """
    times = {one.name: _Times() for one in subjects}
    for turn in range(spec.repetitions + 1):
        told(turn, spec.repetitions + 1)
        order = subjects if turn % 2 else subjects[::-1]  # there and back: ABBA
        for one in order:
            found = _timed(one.side, spec, costs.get(one.name, Cost()))
            for name, values in found.items() if turn else ():
                times[one.name].add(name, values)
    told(spec.repetitions + 1, spec.repetitions + 1)
    no_room = spec.cold_starts > 0 and not has_room([one.side for one in subjects])
    for turn in range(0 if no_room else spec.cold_starts):
        for one in subjects if turn % 2 else subjects[::-1]:
            told(turn, spec.cold_starts)
            if (start := cold_start(one.side, costs.get(one.name, Cost()).folder, spec.prompt_tokens)) is not None:
                times[one.name].add("cold_start_s", [seconds_of(start)])
    return DimensionResult(
        name=NAME,
        about=DIMENSIONS[NAME].about,
        num_items=spec.repetitions,
        metrics=tuple(_metrics([one.subject for one in subjects], times, costs)),
        notes=(*_notes(spec, subjects), *([NO_ROOM] if no_room else [])),
    )


def _timed(side: Side, spec: EfficiencySpec, cost: Cost) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    if cost.loads is not None:
        began_s = time.perf_counter()
        cost.loads()
        found["load_s"] = [time.perf_counter() - began_s]
    marks = marks_of(side, spec.prompt_tokens, spec.answer_tokens)
    first, *others = [after - before for before, after in pairwise(marks)]
    found["prefill_s"] = found["prefill_p95_s"] = [first]
    found["decode_s"] = found["decode_p95_s"] = others
    found["tokens_per_s"] = [spec.answer_tokens / (marks[-1] - marks[0])]
    return found


def marks_of(side: Side, prompt_tokens: int, answer_tokens: int) -> list[float]:
    """Seconds on the clock before the prompt is read, and after every token that is said."""
    base = side.bank.base
    drawn = torch.Generator().manual_seed(0)
    tokens_BT = torch.randint(0, base.halves.vocab_size, (1, prompt_tokens), generator=drawn).to(base.device)
    settle = partial(torch.cuda.synchronize, base.device) if base.device.type == "cuda" else _nothing
    cache = DynamicCache(config=base.model.config)
    with torch.no_grad(), side.routed(1):
        said = greedy_tokens(base.halves, cache, tokens_BT, torch.ones_like(tokens_BT))
        settle()
        marks = [time.perf_counter()]
        for _ in range(answer_tokens):
            next(said)
            settle()
            marks.append(time.perf_counter())
    return marks


def _nothing() -> None:
    """A processor that does at once what it is told has nothing to wait for."""


def _metrics(subjects: Sequence[Subject], times: Mapping[str, _Times], costs: Mapping[str, Cost]) -> list[MetricResult]:
    found = []
    for metric in DIMENSIONS[NAME].metrics:
        turns = {name: own.turns[metric.name] for name, own in times.items() if metric.name in own.turns}
        share = SHARES.get(metric.name, 0.5)
        values = {name: measured(own, share) for name, own in turns.items()} or _counted(metric.name, costs)
        comparisons = [
            _compared(subject, reference, turns, share, better=metric.better)
            for subject, reference in pairs_of(subjects)
            if subject in turns and reference in turns
        ]
        if values:
            found.append(
                MetricResult(
                    name=metric.name,
                    unit=metric.unit,
                    better=metric.better,
                    about=metric.about,
                    values=tuple(Value(subject=name, measured=value) for name, value in values.items()),
                    comparisons=tuple(comparisons),
                )
            )
    return found


def _counted(name: str, costs: Mapping[str, Cost]) -> dict[str, Measured]:
    told: dict[str, Any] = {
        subject: {"bytes": cost.num_bytes, "trained_numbers": cost.num_trained, "training_s": cost.training_s}.get(name)
        for subject, cost in costs.items()
    }
    return {
        subject: Measured(value=float(value), low=None, high=None, num_items=1, num_groups=1, by="counted once")
        for subject, value in told.items()
        if value is not None
    }


def _compared(subject: str, reference: str, turns: Mapping[str, Turns], share: float, *, better: str) -> Comparison:
    found = difference(turns[subject], turns[reference], share)
    low, high = found.low or 0.0, found.high or 0.0
    is_more, is_less = low > 0, high < 0
    verdict: Verdict = "not shown"
    if is_more or is_less:
        verdict = "better" if is_more == (better == "more") else "worse"
    pairs = [(sum(a) / len(a), sum(b) / len(b)) for a, b in zip(turns[subject], turns[reference], strict=True)]
    num_more, num_less = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    return Comparison(
        subject=subject,
        reference=reference,
        difference=found.value,
        low=found.low,
        high=found.high,
        p=None,
        p_adjusted=None,
        margin=None,
        bound=None,
        p_not_worse=None,
        verdict=verdict,
        smallest_shown=None,
        needed_items=None,
        num_items=len(pairs),
        num_groups=len(pairs),
        num_better=num_more if better == "more" else num_less,
        num_worse=num_less if better == "more" else num_more,
        by=found.by,
    )


def _notes(spec: EfficiencySpec, subjects: Sequence[AtHand]) -> list[str]:
    device = subjects[0].side.bank.base.device
    about = f"{spec.prompt_tokens} tokens read and {spec.answer_tokens} written, one request at a time, on {device}"
    if device.type == "cuda":
        peak, of = torch.cuda.max_memory_allocated(device), "the device's memory, all subjects together"
    else:
        peak, of = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "this process, all subjects together"
    base = subjects[0].side.bank.base.model
    weights = sum(prod(tensor.shape) * tensor.element_size() for tensor in (*base.parameters(), *base.buffers()))
    return [
        f"Measured with {about}, with {torch.get_num_threads()} threads.",
        f"Peak of {of}: {peak:,} bytes; the base's weights take {weights:,} of them.",
    ]
