"""What the last bits of a training follow from beside its inputs: threads, library, kind of processor.

A sum that several threads share is taken in another order than by one, so a training that goes on with other threads
than it began with would end with other bytes. Every checkpoint says with what it was computed; who goes on from it
takes as many threads, and says so, and says what it cannot put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

OTHERWISE = "so the adapter's last bits may not be those of a training that was never interrupted"


def computing_now() -> dict[str, Any]:
    """Threads, version of torch and the widest instructions that it uses, and numba, which compiles loops of ours, or
    none, of this process."""
    import torch

    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "numba": version("numba") if find_spec("numba") else "none",
    }


def continued(before: Mapping[str, Any], *, alone: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """What the steps from here on are computed with: as `before`, as far as this process can.

    Args:
        before: as the checkpoint says; empty at the start.
        alone: no other process shares the steps; else the threads are as the processes have agreed.
    """
    now = computing_now()
    moved = {name: (before[name], now[name]) for name in now if name in before and before[name] != now[name]}
    if alone and "threads" in moved:
        was, have = moved.pop("threads")
        now["threads"] = was
        say(f"threads: {was}, not {have}, as it was begun with {was}; with others its last bits would be others")
    if moved:
        told = ", ".join(f"{name} {was} then and {have} now" for name, (was, have) in moved.items())
        say(f"{told}: {OTHERWISE}")
    return now


@contextmanager
def computed_with(threads: int) -> Iterator[None]:
    """Inside, torch computes with so many threads."""
    import torch

    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
