"""Cold start: how long a new process takes to the first token of an answer, with the base and an adapter to be loaded.

The process is this module, started with what it needs as JSON; it writes a line as soon as the token is there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from graftwork.base.quantised import scheme_of
from graftwork.core.errors import WorkError
from graftwork.core.memory import available_bytes

if TYPE_CHECKING:
    from graftwork.pipeline.sides import Side

NO_ROOM = "Cold starts were not measured: there is no room for a second copy of the base in memory."
COPIES = 1.5
"""Room that a second base is given, in its weights: they, and what comes with them."""


def cold_start(side: Side, adapter: Path | None, prompt_tokens: int) -> dict[str, Any] | None:
    """What a new process is told to answer as `side` does; None for adapters that lie nobody knows where."""
    if side.row and adapter is None:
        return None
    base = side.bank.base
    return {
        "base": str(base.folder),
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "device": str(base.device),
        "quantised": scheme_of(base.model),
        "adapter": str(adapter) if side.row else None,
        "prompt_tokens": prompt_tokens,
    }


def has_room(sides: Sequence[Side]) -> bool:
    """Whether the largest base fits into memory once more."""
    largest = max(COPIES * _weights_bytes(side) for side in sides)
    device = sides[0].bank.base.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()
    return free is None or largest <= free


def seconds_of(start: dict[str, Any]) -> float:
    """Seconds from starting the process to its first token.

    Raises:
        WorkError: it ended without one.
    """
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", __name__, json.dumps(start)]
    began_s = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **threads}
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        seconds = time.perf_counter() - began_s
        _, said = child.communicate()
    if not line:
        raise WorkError(f"a process that was to answer ended with {child.returncode}: {said.strip()[-500:]}")
    return seconds


def _weights_bytes(side: Side) -> int:
    model = side.bank.base.model
    return sum(prod(tensor.shape) * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))


def _answer(start: dict[str, Any]) -> None:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.load import load_base
    from graftwork.pipeline.evaluation.efficiency import marks_of
    from graftwork.pipeline.sides import Side

    base = load_base(start["base"], dtype=start["dtype"], device=start["device"], quantised=start["quantised"])
    bank = AdapterBank(base)
    row = bank.load_standing(start["adapter"]) if start["adapter"] else ()
    marks_of(Side(bank=bank, row=row), start["prompt_tokens"], 1)
    print("said", flush=True)


if __name__ == "__main__":
    _answer(json.loads(sys.argv[1]))
