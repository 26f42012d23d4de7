"""Memory that this process may still take, whoever sets the limit: the machine, or the group that it runs in.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "Memory"; memory.rst of version 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)
"""Of version 2 and version 1 of control groups: the limit, what is used of it, and what of that could be given back."""


def available_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What can be taken before something has to give way; None where nothing says."""
    told = [*_of_machine(proc / "meminfo"), *_of_group(groups)]
    return max(0, min(told)) if told else None


def _of_machine(meminfo: Path) -> Iterator[int]:
    if (kib := _fields(meminfo).get("MemAvailable:")) is not None:
        yield 1024 * kib


def _of_group(groups: Path) -> Iterator[int]:
    for limit, used, spare in FILES:
        told = [_number(groups / name) for name in (limit, used)]
        if told[0] is not None and told[1] is not None:
            yield told[0] - told[1] + _fields((groups / used).with_name("memory.stat")).get(spare, 0)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None  # "max" is no limit


def _fields(path: Path) -> dict[str, int]:
    rows = [line.split() for line in _text(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
