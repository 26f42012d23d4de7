"""Where does the time of one training step go, and how near is it to what the machine's matrix products allow?

    .venv/bin/python benchmarks/step_profile.py [--rounds 5] [--batch-size 8] [--records FILE] [--packing off]

The limit: the products of all frozen linear layers at the step's own shapes, forward and the gradient of their inputs,
with the base's own weights, and the head's at the targets; nothing else of a step. Tokens that a step does not compute
(what its records begin with in common is computed once) are not in it. Steps and limit are timed in turn.
The breakdown is that of `torch.profiler`, by operation and shape, as shares of a step that is watched.
Writes benchmarks/results/step_profile_<machine>.json.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from step_job import job_of, sizes_of
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from training_task import Task

from graftwork.base.load import Base
from graftwork.training.job import TrainJob
from graftwork.training.loop import train
from graftwork.training.passes import step_of

Sizes = list[tuple[int, int]]
"""Of each forward pass of a step: tokens that are computed, and targets."""
Clock = Callable[[], float]
RESULTS = Path(__file__).parent / "results"
FUSED = ("sdpa", "scaled_dot_product", "flash_attention", "flex")
PRODUCTS = (
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::mkldnn_linear",
    "aten::linear",
    "aten::baddbmm",
    "aten::matmul",
)
COPIES = ("aten::copy_", "aten::_to_copy", "aten::cat", "aten::clone", "aten::contiguous", "aten::index", "aten::zero_")


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What tells the operations of a base apart.

    Attributes:
        linear: (out, in) of the frozen layers that a step multiplies by.
    """

    linear: frozenset[tuple[int, int]]
    vocab: int
    hidden: int
    inner: int
    head_dim: int
    rank: int


def shapes_of(base: Base, rank: int) -> Shapes:
    """Of a llama-like base."""
    config: Any = base.model.config.get_text_config()
    found = {tuple(w.shape) for w in _weights(base)}
    return Shapes(
        linear=frozenset((o, i) for o, i in found),
        vocab=config.vocab_size,
        hidden=config.hidden_size,
        inner=config.intermediate_size,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        rank=rank,
    )


def _weights(base: Base) -> list[Tensor]:
    head = base.model.get_output_embeddings()
    return [m.weight for m in base.model.modules() if isinstance(m, torch.nn.Linear) and m is not head]


def limit_of(base: Base, sizes: Sizes, dtype: torch.dtype, clock: Clock) -> Callable[[], float]:
    """What measures the seconds of the products alone, for the micro-batches of one step."""
    weights = [w.detach().to(dtype) for w in _weights(base)]
    head = base.model.get_output_embeddings().weight.detach().to(dtype)
    inputs = {(n, w.shape[1]): torch.randn(n, w.shape[1]).to(dtype) for n, _ in sizes for w in weights}
    outputs = {(n, w.shape[0]): torch.randn(n, w.shape[0]).to(dtype) for n, _ in sizes for w in weights}
    states = {n: torch.randn(n, head.shape[1]).to(dtype) for _, n in sizes}
    logits = {n: torch.randn(n, head.shape[0]).to(dtype) for _, n in sizes}

    def seconds() -> float:
        began = clock()
        with torch.no_grad():
            for num_tokens, num_targets in sizes:
                for w in weights:
                    torch.nn.functional.linear(inputs[num_tokens, w.shape[1]], w)
                torch.nn.functional.linear(states[num_targets], head)
                torch.mm(logits[num_targets], head)
                for w in reversed(weights):
                    torch.mm(outputs[num_tokens, w.shape[0]], w)
        return clock() - began

    return seconds


def flops_of(base: Base, sizes: Sizes) -> float:
    """Of those products."""
    head = base.model.get_output_embeddings().weight
    linear = sum(w.numel() for w in _weights(base))
    return float(sum(4 * (num_tokens * linear + num_targets * head.numel()) for num_tokens, num_targets in sizes))


def kind_of(name: str, shapes: list[list[int]], base: Shapes) -> str:
    """What part of the step an operation belongs to."""
    lower = name.lower()
    matrices = [tuple(s) for s in shapes if len(s) >= 2]
    if "adamw" in lower or "foreach" in lower or "linalg_vector_norm" in lower:
        return "optimizer and clipping"
    if any(word in lower for word in FUSED):
        return "attention"
    if any(base.vocab in s for s in matrices) or "nll" in lower:
        return "head and loss"
    if "softmax" in lower or "bmm" in lower:
        return "attention"
    if "embedding" in lower:
        return "embedding"
    if name in PRODUCTS or "mkldnn" in lower:
        return _product(matrices, base)
    return _elementwise(name, matrices, base)


def _product(matrices: list[tuple[int, ...]], base: Shapes) -> str:
    if any(s[:2] in base.linear or s[1::-1] in base.linear for s in matrices if len(s) == 2):
        return "frozen linear layers"
    small = {size for s in matrices for size in s[-2:] if size % base.rank == 0 and size <= 3 * base.rank}
    return "adapter products" if small else "other products"


def _elementwise(name: str, matrices: list[tuple[int, ...]], base: Shapes) -> str:
    """By the widest tensor it touches."""
    if not matrices:
        return "small operations"
    widest = max(matrices, key=lambda s: torch.Size(s).numel())
    how = "copies" if name in COPIES else "arithmetic"
    if widest[-1] == base.inner:
        return f"MLP between its products, {how}"
    if widest[-1] in (base.head_dim, base.head_dim // 2) or len(widest) == 4:
        return f"rotary and heads, {how}"
    if widest[-1] in (base.hidden, 1):
        return f"norms and residual, {how}"
    return f"other, {how}"


@dataclass(kw_only=True)
class Part:
    """Time of one kind of operation in one step."""

    ms: float = 0.0
    calls: float = 0.0


def breakdown(
    steps: Iterator[Any], base: Shapes, num: int
) -> tuple[dict[str, Part], list[tuple[str, str, float, float]]]:
    """Milliseconds and calls of each kind in one of `num` steps, and the longest operations with their shapes."""
    began = time.perf_counter()  # as the profiler counts
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as watched:
        for _ in range(num):
            next(steps)
    wall_ms = (time.perf_counter() - began) * 1000 / num
    parts: dict[str, Part] = defaultdict(Part)
    longest = []
    for event in watched.key_averages(group_by_input_shape=True):
        ms = event.self_cpu_time_total / 1000 / num
        shapes = [s for s in event.input_shapes if isinstance(s, list)]
        own = event.key.startswith("aten::") or event.key.startswith("mkldnn")
        kind = kind_of(event.key, shapes, base) if own else "autograd's own bookkeeping"
        parts[kind].ms += ms
        parts[kind].calls += event.count / num
        longest.append((kind, f"{event.key} {[s for s in shapes if s]}", ms, event.count / num))
    parts["Python and gaps"].ms = max(0.0, wall_ms - sum(p.ms for p in parts.values()))
    return dict(parts), sorted(longest, key=lambda row: -row[2])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("rounds", 5),
        ("watched", 3),
        ("batch-size", 8),
        ("accumulation", 2),
        ("rank", 8),
        ("top", 25),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--records", default="", help="JSON lines of prompt and completion; the demo's by default")
    parser.add_argument("--packing", default="auto", help="auto, off, or the tokens of a row")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--cpu-time", action="store_true", help="on a busy machine, with one thread: time on the CPU")
    told = parser.parse_args()
    task = Task(records=told.records, per_step=told.batch_size * told.accumulation, rank=told.rank)
    how = {"batch_size": told.batch_size, "packing": told.packing, "dtype": told.dtype}
    with tempfile.TemporaryDirectory() as folder:
        job = job_of(task, Path(folder), **how, num_steps=told.rounds + told.watched + 1)
        measure(told, job)


def clock_of(told: argparse.Namespace) -> Clock:
    """Time on the wall, or on the CPU."""
    return time.process_time if told.cpu_time else time.perf_counter


def measure(told: argparse.Namespace, job: TrainJob) -> None:
    """Steps and limit in turn, then steps that are watched."""
    steps, sizes = train(job, clock_of(told)), sizes_of(job)
    types = (torch.bfloat16, torch.float32)
    limits = {str(d).removeprefix("torch."): limit_of(job.bank.host, sizes, d, clock_of(told)) for d in types}
    next(steps)
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(told.rounds):
        seconds["step"].append(next(steps).seconds)
        for name, limit in limits.items():
            seconds[name].append(limit())
    parts, longest = breakdown(steps, shapes_of(job.bank.host, told.rank), told.watched)
    result = report(job, sizes, seconds, parts)
    if told.cpu_time:
        result["watched_over_unwatched"] = None  # the profiler counts on the wall
    result |= {"asked": vars(told), "longest": longest[: told.top]}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"step_profile_{platform.machine()}_{torch.get_num_threads()}cpu.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    show(result)
    print(f"written to {path}")


def report(job: TrainJob, sizes: Sizes, seconds: dict[str, list[float]], parts: dict[str, Part]) -> dict[str, Any]:
    """All that was measured, as plain data."""
    own = job.bank.host.model.dtype
    limit = seconds[str(own).removeprefix("torch.")]
    shares = [ideal / step for ideal, step in zip(limit, seconds["step"], strict=True)]
    step_ms = statistics.median(seconds["step"]) * 1000
    watched_ms = sum(part.ms for part in parts.values())
    flops, given = flops_of(job.bank.host, sizes), step_of(job, 0).num_tokens
    return {
        "question": "what share of the machine's matrix products is a training step, and where is the rest?",
        "share_median": statistics.median(shares),
        "share_min": min(shares),
        "share_max": max(shares),
        "seconds": seconds,
        "gflops_per_s": {n: flops / statistics.median(s) / 1e9 for n, s in seconds.items()},
        "forward_passes": sizes,
        "tokens_of_records": given,
        "share_as_if_all_were_computed": statistics.median(shares) * given / sum(computed for computed, _ in sizes),
        "watched_over_unwatched": watched_ms / step_ms,
        "parts_ms": {
            name: {"watched_ms": p.ms, "calls": p.calls, "share": p.ms / watched_ms}
            for name, p in sorted(parts.items(), key=lambda row: -row[1].ms)
        },
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }


def show(result: dict[str, Any]) -> None:
    """The table."""
    for name, rates in result["seconds"].items():
        ms = [round(s * 1000) for s in rates]
        rate = result["gflops_per_s"][name]
        print(f"{name:>10}: {statistics.median(ms):6.0f} ms ({min(ms)} to {max(ms)}), {rate:.0f} GFLOP/s")
    print(f"share of the limit: {result['share_median']:.2f} ({result['share_min']:.2f} to {result['share_max']:.2f})")
    whole = result["share_as_if_all_were_computed"]
    print(f"of the limit if all {result['tokens_of_records']} tokens of the records were computed: {whole:.2f}")
    print(f"forward passes (tokens computed, targets): {result['forward_passes']}")
    if result["watched_over_unwatched"]:
        print(f"watched steps take {result['watched_over_unwatched']:.2f} x as long")
    print("shares of a watched step:")
    for name, part in result["parts_ms"].items():
        print(f"{part['share']:7.1%} {part['watched_ms']:8.1f} ms {part['calls']:8.0f} calls  {name}")
    for kind, name, ms, calls in result["longest"]:
        print(f"{ms:8.1f} ms {calls:7.0f} x  {name[:110]}  [{kind}]")


if __name__ == "__main__":
    main()
