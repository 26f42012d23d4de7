"""One run of `planner.py` in a process of its own: its peak memory, and seconds on the CPU of a step.

    .venv/bin/python benchmarks/planner_child.py '{"adapter": {"method": "lora"}, "length": 128, ...}'

The records are random tokens of one length: what a step computes depends on shapes alone. Prints one JSON object.
"""

import json
import random
import resource
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import torch

import graftwork.pipeline.train  # noqa: F401  all that a run has imported by then
from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import Base, load_base
from graftwork.core.heap import Heap
from graftwork.core.spec import parse
from graftwork.data.batches import evenly
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.evolving import evolving
from graftwork.training.full import full_of
from graftwork.training.full_spec import FullSpec
from graftwork.training.job import TrainJob, layout_of
from graftwork.training.loop import train
from graftwork.training.memory import checkpoint_activations
from graftwork.training.optimizers import optimizer_for
from graftwork.training.spec import TrainSpec

BASE = "bundled:smollm2-135m-instruct"


def records_of(case: dict[str, Any], vocab: int, num: int) -> list[Encoded]:
    """Random tokens behind a common beginning; the last ones are learned."""
    draw = random.Random(0)
    front = [draw.randrange(vocab) for _ in range(case["shared"])]
    made = []
    for line in range(num):
        own = [line % vocab, *(draw.randrange(vocab) for _ in range(case["length"] - case["shared"] - 1))]
        marks = [False] * (case["length"] - case["targets"]) + [True] * case["targets"]
        made.append(Encoded((*front, *own), tuple(marks), Origin("random", line + 1), 0, 0))
    return made


def job_of(case: dict[str, Any], base: Base) -> TrainJob:
    """The job of a case, as a run makes it."""
    told = {"batch_size": case["batch"], "gradient_checkpointing": case["checkpointing"], "steps": case["steps"]}
    spec, bank = parse(TrainSpec, {**told, "learning_rate": 1e-5}), AdapterBank(base)
    loss, ready = {}, None
    if case["adapter"]["method"] == "full":
        full = full_of(base, parse(FullSpec, case["adapter"]))
        handle, params = bank.add(Adapter(spec=None, placed={}), name="bench"), full.params
        loss, ready = {"loss": full.loss}, full.ready
    else:
        handle = bank.fresh(parse_adapter_spec(case["adapter"]), seed=0, name="bench")
        params = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
    optimizer = optimizer_for(params, spec)
    if ready:
        ready(optimizer)
    if case["checkpointing"]:
        checkpoint_activations(bank)
    records = records_of(case, base.facts.vocab_size, case["batch"] * 2)
    job = TrainJob(
        bank=bank,
        handle=handle,
        split=base.halves,
        params=params,
        optimizer=optimizer,
        records=records,
        lengths=[case["length"]] * len(records),
        mixture=evenly(len(records)),
        spec=spec,
        num_steps=case["steps"],
        layout=layout_of(bank, spec),
        **loss,
    )
    return replace(job, evolving=evolving(bank[handle])) if case["adapter"]["method"] != "full" else job


def resident_bytes() -> int:
    """Of this process, now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak_bytes() -> int:
    """Of this process, ever."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(case: dict[str, Any]) -> dict[str, Any]:
    """Load, begin, take the steps."""
    found: dict[str, Any] = {"imports": resident_bytes()}
    base = load_base(BASE, dtype=case["dtype"], quantised=case["quantised"])
    found |= {"loaded": resident_bytes(), "load_peak": peak_bytes()}
    if case["adapter"]["method"] != "full":
        base.tensor_digest()
    job = job_of(case, base)
    found |= {"begun": resident_bytes(), "begun_peak": peak_bytes()}
    seconds, heap = [], Heap()
    for report in train(job, time.process_time):
        seconds.append(report.seconds)
        heap.tidy()
    later = seconds[1:] or seconds
    found |= {"seconds": seconds, "step_s": statistics.median(later), "peak": peak_bytes(), "after": resident_bytes()}
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(measured(json.loads(sys.argv[1]))) + "\n")
