"""A LoRA step beside a step of full tuning: how much of its time and of its memory does it take?

    .venv/bin/python benchmarks/full_tuning.py [--steps 6] [--rank 8] [--rows 8] [--tokens 96] [--micro 8] [--dtype ...]

Both are steps of the same loop on the bundled base, on the same random records, the loss over the last quarter of each,
and alternate in one process. Memory is the peak of a process of its own for each, less what it held before the base was
loaded. Expected of time, counting products of matrices alone (N x N layers, rank r): a frozen layer is gone through
forward and back to its input, a trained one also to its weight, so (2 N^2 + 6 N r) / (3 N^2) = 2/3 + 2 r / N. Expected
of memory: 2 bytes for a frozen number; 18 for one trained through a float32 master with Adam, 16 in float32; told apart
as `state`. The rest are activations, which both have: the fewer records are in a pass (--micro), the less they weigh.
Writes benchmarks/results/full_tuning_<machine>.json.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.base.head import nats_of_states
from graftwork.base.load import load_base
from graftwork.core.spec import parse
from graftwork.data.batches import evenly
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.full import full_of
from graftwork.training.full_spec import FullSpec
from graftwork.training.job import TrainJob, layout_of
from graftwork.training.loop import train
from graftwork.training.optimizers import optimizer_for
from graftwork.training.spec import TrainSpec

BASE = "bundled:smollm2-135m-instruct"
RESULTS = Path(__file__).parent / "results"
KINDS = ("lora", "full")


def records(rows: int, tokens: int) -> list[Encoded]:
    """Random ones."""
    draw = torch.Generator().manual_seed(0)
    drawn = [tuple(torch.randint(0, 49_000, (tokens,), generator=draw).tolist()) for _ in range(rows)]
    is_target = tuple(at >= tokens - tokens // 4 for at in range(tokens))
    return [Encoded(one, is_target, Origin("drawn", i)) for i, one in enumerate(drawn)]


def job_of(kind: str, told: argparse.Namespace) -> TrainJob:
    """A training of this kind on a base of its own."""
    base = load_base(BASE, dtype=told.dtype)
    bank = AdapterBank(base)
    spec = parse(
        TrainSpec,
        {"batch_size": told.micro, "accumulation": told.rows // told.micro, "learning_rate": 1e-5, "steps": 10_000},
    )
    if kind == "full":
        full = full_of(base, FullSpec())
        params, loss = full.params, full.loss
        handle = bank.add(Adapter(spec=None, placed={}), name="none")
    else:
        handle = bank.fresh(parse(LoraSpec, {"rank": told.rank}), seed=0)
        params, loss = {name: t.requires_grad_() for name, t in bank[handle].trained()}, nats_of_states
    optimizer = optimizer_for(params, spec)
    if kind == "full":
        full.ready(optimizer)
    made = records(told.rows, told.tokens)
    return TrainJob(
        bank=bank,
        handle=handle,
        split=base.halves,
        params=params,
        optimizer=optimizer,
        records=made,
        lengths=[told.tokens] * told.rows,
        mixture=evenly(told.rows),
        spec=spec,
        num_steps=10_000,
        loss=loss,
        layout=layout_of(bank, spec),
    )


def steps_of(job: TrainJob) -> Iterator[float]:
    """Seconds of one step after another."""
    return (report.seconds for report in train(job, time.perf_counter))


def state_bytes(job: TrainJob) -> int:
    """What the model, what is trained, its gradients and its optimizer take between steps."""
    tensors = {id(t): t for t in [*job.bank.base.model.parameters(), *job.params.values()]}
    moments = [t for state in job.optimizer.state.values() for t in state.values()]
    held = [*tensors.values(), *job.params.values(), *moments]  # a gradient is as large as what is trained
    return sum(t.numel() * t.element_size() for t in held)


def memory(kind: str, told: argparse.Namespace) -> dict[str, int]:
    """Of a process that does two steps: its peak, less what it held before it loaded the base; of that the state."""
    words = [f"--{name}={value}" for name, value in vars(told).items() if name != "measure"]
    done = subprocess.run(
        [sys.executable, __file__, *words, f"--measure={kind}"], capture_output=True, text=True, check=True
    )
    peak, state = map(int, done.stdout.split())
    return {"peak": peak, "state": state}


def measured(kind: str, told: argparse.Namespace) -> None:
    """Print it: what the process of `memory` does."""
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    job = job_of(kind, told)
    steps = steps_of(job)
    next(steps), next(steps)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before, state_bytes(job))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("steps", 6), ("rank", 8), ("rows", 8), ("tokens", 96), ("micro", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.measure:
        measured(told.measure, told)
        return
    held = {kind: memory(kind, told) for kind in KINDS}
    for part in ("peak", "state"):
        lora, full = (held[kind][part] / 1e9 for kind in KINDS)
        print(f"memory, {part}: {lora:.2f} GB / {full:.2f} GB = {lora / full:.2f}", flush=True)
    steps = {kind: steps_of(job_of(kind, told)) for kind in KINDS}
    for each in steps.values():
        next(each)  # warm-up
    pairs = [(next(steps["lora"]), next(steps["full"])) for _ in range(told.steps)]
    ratios = [lora / full for lora, full in pairs]
    result = {
        "question": "how much of a full tuning step's time and memory does a LoRA step take?",
        "time_ratio_median": statistics.median(ratios),
        "time_ratio_min": min(ratios),
        "time_ratio_max": max(ratios),
        "time_ratio_expected_of_products": 2 / 3 + 2 * told.rank / 576,
        "memory_ratio": {part: held["lora"][part] / held["full"][part] for part in ("peak", "state")},
        "memory_bytes": held,
        "seconds": {"lora": [lora for lora, _ in pairs], "full": [full for _, full in pairs]},
        "asked": {name: value for name, value in vars(told).items() if name != "measure"},
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"full_tuning_{told.dtype}_{told.micro}x{told.tokens}_{platform.machine()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"time: LoRA / full = {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n={told.steps})"
    )
    print(path.name)


if __name__ == "__main__":
    main()
