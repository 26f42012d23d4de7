"""Measure once what this machine does with the parts of a training step (`graftwork plan --calibrate`).

Each part is repeated and the median taken: products at several shapes, thin products, norms, activations, rotations,
attention, the loss of a logit, Adam, and chains of small operations for what one costs however small it is. The result
lies in the user's cache folder with what the machine is; measured elsewhere, or with another torch, it is stale.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.base.bundled import cache_folder
from graftwork.core.errors import IntegrityError
from graftwork.core.files import read_json, write_json
from graftwork.core.workers import usable_cores
from graftwork.planning.time import Profile, Speed

if TYPE_CHECKING:
    from torch import Tensor

FILE = "machine.json"
FORMATS = ("float32", "bfloat16")
TOKENS = (16, 64, 256, 1024)
MATRICES = ((576, 192), (576, 576), (1536, 576), (576, 1536), (2048, 2048))
HEAD = (576, 49152)
RANKS = (1, 8, 16, 64)
KEYS = (32, 128, 512, 1024)
ROUNDS = 3
HOLES = 0.52
"""What glibc's allocator holds beyond what a step keeps, as a share of it: benchmarks/planner.py."""
LATER_BYTES = 68 << 20
"""What loading a base and its tokenizer adds to the process beside its weights: benchmarks/planner.py."""

MOST_WAITED = 0.15
"""Share of the time in which no processor worked for this process, from which on other programs are measured too."""

Clock = Callable[[], float]


def identity(threads: int) -> dict[str, Any]:
    """What a measurement holds for."""
    cpu = next((line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")), "")
    return {
        "host": platform.node(),
        "processor": cpu or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "threads": threads,
        "torch": version("torch"),
    }


def threads_here() -> int:
    """Threads that a training computes with here: as OMP_NUM_THREADS says, or one for each core."""
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # further numbers are of nested levels
    return int(told) if told.isdecimal() and int(told) > 0 else usable_cores()


def _cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []


def profile_file() -> Path:
    """Where the measurement of this machine lies."""
    return cache_folder() / FILE


def known_profile(threads: int) -> tuple[Profile | None, str]:
    """The measurement of this machine, and what is to be told of it: that there is none, or that it is stale."""
    path = profile_file()
    if not path.is_file():
        return None, "this machine was not measured yet: graftwork plan --calibrate"
    try:
        told: Any = read_json(path)
        profile = profile_from(told["profile"])
        was = told["machine"]
    except (KeyError, TypeError, ValueError, IntegrityError):
        return None, f"{path} cannot be read; measure again: graftwork plan --calibrate"
    now = identity(threads)
    if changed := [key for key, value in now.items() if was.get(key) != value]:
        differs = ", ".join(f"{key} was {was.get(key)}, is {now[key]}" for key in changed)
        return profile, f"the measurement of this machine is stale ({differs}): graftwork plan --calibrate"
    return profile, ""


def profile_from(told: dict[str, Any]) -> Profile:
    """A profile from plain data, as it is kept."""
    speeds = {name: Speed(**{**one, "reading": tuple(one["reading"])}) for name, one in told["speeds"].items()}
    return Profile(**{**told, "speeds": speeds})


def calibrate(threads: int, clock: Clock, say: Callable[[str], None], own_clock: Clock) -> Profile:
    """Measure this machine and keep it.

    Args:
        own_clock: seconds that processors have worked for this process and those that it started.
    """
    began, began_own = clock(), own_clock()
    profile = measured_profile(threads, clock, say)
    if problem := waited(clock() - began, own_clock() - began_own):
        say(problem)
    profile_file().parent.mkdir(parents=True, exist_ok=True)
    write_json(profile_file(), {"machine": identity(threads), "profile": asdict(profile)})
    return profile


def waited(seconds: float, own_seconds: float) -> str:
    """What to tell where other programs had the processors for much of the time; empty where not.

    >>> waited(10.0, 9.8), waited(10.0, 4.0)
    ('', 'other programs kept this one waiting for 60 % of the time; measure again when they are done')
    """
    share = 1 - own_seconds / seconds if seconds > 0 else 0.0
    if share < MOST_WAITED:
        return ""
    told = f"other programs kept this one waiting for {100 * share:.0f} % of the time"
    return f"{told}; measure again when they are done"


def measured_profile(threads: int, clock: Clock, say: Callable[[str], None]) -> Profile:
    """Measure this machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        runtime = resident_after_imports() + LATER_BYTES
        speeds = {}
        for name in FORMATS:
            say(f"measuring {name}")
            speeds[name] = _speed(getattr(torch, name), clock)
        say("measuring small operations and Adam")
        return Profile(
            speeds=speeds, operation=_operation(clock), adam=_adam(clock), runtime_bytes=runtime, holes=HOLES
        )
    finally:
        torch.set_num_threads(before)


def resident_after_imports() -> int:
    """Bytes of a process that has imported all that a training needs; asked of one, where the system tells."""
    import subprocess
    import sys

    program = (
        "import graftwork.pipeline.train, resource;"
        "print(int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else 400 << 20


def _timed(work: Callable[[], object], clock: Clock) -> float:
    """Median seconds of one call."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        began = clock()
        work()
        once = clock() - began
        repeats = max(1, min(20, int(0.005 / max(once, 1e-6))))
        began = clock()
        for _ in range(repeats):
            work()
        seconds.append((clock() - began) / repeats)
    return statistics.median(seconds)


def _speed(dtype: Any, clock: Clock) -> Speed:
    return Speed(
        products=[
            *(_product(n, *size, dtype, clock) for size in MATRICES for n in TOKENS),
            _product(85, *HEAD, dtype, clock),
        ],
        thin=[(rank, _thin(rank, dtype, clock)) for rank in RANKS],
        norm=_norm(dtype, clock),
        gate=_gate(dtype, clock),
        rotate=_rotate(dtype, clock),
        attention=[(keys, _attention(keys, dtype, clock, own=True)) for keys in KEYS],
        fused=[(keys, _attention(keys, dtype, clock, own=False)) for keys in KEYS],
        logit=_logit(dtype, clock),
        reading=(_reading("int8", dtype, clock), _reading("int4", dtype, clock)),
    )


def _product(tokens: int, wide_in: int, wide_out: int, dtype: Any, clock: Clock) -> tuple[float, ...]:
    import torch

    weights = [
        torch.randn(wide_out, wide_in).to(dtype) for _ in range(max(1, min(16, (8 << 20) // (wide_in * wide_out))))
    ]
    x_NI, dy_NO = torch.randn(tokens, wide_in).to(dtype), torch.randn(tokens, wide_out).to(dtype)
    with torch.no_grad():  # other weights each time, as in a step: none waits in the processor's cache
        forward = _timed(lambda: [torch.nn.functional.linear(x_NI, w) for w in weights], clock) / len(weights)
        backward = _timed(lambda: [torch.mm(dy_NO, w) for w in weights], clock) / len(weights)
        own = _timed(lambda: torch.mm(dy_NO.T, x_NI), clock)
    return tokens, wide_in, wide_out, forward, backward, own


def _thin(rank: int, dtype: Any, clock: Clock) -> float:
    """Seconds of a token and number of a factor, forward and both gradients, as the adapters' own function does it."""
    import torch

    from graftwork.adapters.low_rank import expand, shrink

    tokens, width = 512, 576
    x_NI, base_NO = (torch.randn(tokens, width).to(dtype).requires_grad_() for _ in range(2))
    a_RI, b_OR = torch.randn(rank, width).requires_grad_(), torch.randn(width, rank).requires_grad_()

    def work() -> None:
        (z_NR,) = shrink(x_NI, [a_RI], [a_RI.detach().to(dtype)])
        expand(base_NO, z_NR, b_OR, b_OR.detach().to(dtype), 1.0).backward(base_NO.detach())

    return _timed(work, clock) / (tokens * 2 * width * rank)


def _with_gradient(function: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], None]:
    dy = function(*inputs).detach()

    def work() -> None:
        function(*inputs).backward(dy)
        for one in inputs:
            one.grad = None

    return work


def _norm(dtype: Any, clock: Clock) -> float:
    import torch

    x_NH, gain_H = torch.randn(512, 576).to(dtype).requires_grad_(), torch.randn(576).to(dtype)

    def norm(x: Tensor) -> Tensor:
        wide = x.float()
        return gain_H * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(dtype) + x

    return _timed(_with_gradient(norm, x_NH), clock) / x_NH.numel()


def _gate(dtype: Any, clock: Clock) -> float:
    import torch

    gate, up = (torch.randn(512, 1536).to(dtype).requires_grad_() for _ in range(2))
    return _timed(_with_gradient(lambda g, u: torch.nn.functional.silu(g) * u, gate, up), clock) / gate.numel()


def _rotate(dtype: Any, clock: Clock) -> float:
    import torch

    x, cos, sin = torch.randn(1, 9, 512, 64).to(dtype).requires_grad_(), *torch.randn(2, 1, 1, 512, 64).to(dtype)

    def rotate(x: Tensor) -> Tensor:
        first, second = x[..., :32], x[..., 32:]
        turned: Tensor = x * cos + torch.cat((-second, first), -1) * sin
        return turned

    return _timed(_with_gradient(rotate, x), clock) / x.numel()


def _attention(keys: int, dtype: Any, clock: Clock, *, own: bool) -> float:
    """Seconds of a score and head, by our own pieces or by torch's attention record by record."""
    import torch

    from graftwork.base.record_attention import attend, cut_for

    records = max(1, 512 // keys)
    query, key, value = (torch.randn(1, heads, keys * records, 64).to(dtype).requires_grad_() for heads in (9, 3, 3))
    cut = cut_for(query, key, [keys] * records)

    def whole(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if own:
            return attend(q, k, v, cut, scale=0.125)
        parts = zip(q.split(keys, dim=2), k.split(keys, dim=2), v.split(keys, dim=2), strict=True)
        fused = torch.nn.functional.scaled_dot_product_attention
        return torch.cat([fused(*part, is_causal=True, enable_gqa=True) for part in parts], dim=2)

    return _timed(_with_gradient(whole, query, key, value), clock) / (_scores(keys) * records * 9)


def _scores(keys: int) -> int:
    from graftwork.base.record_pieces import pieces

    cut = pieces([keys], shared=0, window=None, num_heads=9)
    return sum(len(one.queries_RL) * len(one.queries_RL[0]) * len(one.keys_RS[0]) for one in cut)


def _logit(dtype: Any, clock: Clock) -> float:
    import torch

    logits_CV, targets_C = torch.randn(85, 49152).to(dtype).requires_grad_(), torch.arange(85)

    def loss(logits: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(logits.float(), targets_C, reduction="sum")

    return _timed(_with_gradient(loss, logits_CV), clock) / logits_CV.numel()


def _reading(scheme: Any, dtype: Any, clock: Clock) -> float:
    import torch

    from graftwork.base.quantised import QuantisedLinear

    layer = QuantisedLinear(torch.randn(576, 1536).to(dtype), None, scheme, flipped=False)
    return _timed(lambda: layer.weight, clock) / (576 * 1536)


def _operation(clock: Clock) -> float:
    import torch

    x, number = torch.randn(4, 4, requires_grad=True), 100

    def chain(x: Tensor) -> Tensor:
        for _ in range(number):
            x = x + 1.0
        return x

    return _timed(_with_gradient(chain, x), clock) / number


def _adam(clock: Clock) -> float:
    import torch

    param = torch.randn(1 << 23, requires_grad=True)
    param.grad = torch.randn(1 << 23)
    optimizer = torch.optim.AdamW([param], fused=True)
    return _timed(optimizer.step, clock) / param.numel()


def rates_of(rows: Sequence[Sequence[float]]) -> dict[int, float]:
    """Of products with the largest matrix, forward: GFLOP/s by the number of tokens."""
    square = [row for row in rows if tuple(row[1:3]) != HEAD]
    largest = max(row[1] * row[2] for row in square)
    return {int(row[0]): round(2 * row[0] * largest / row[3] / 1e9, 1) for row in square if row[1] * row[2] == largest}
