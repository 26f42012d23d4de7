"""One checkpoint as a file: tensors and what is told of them under one digest; there whole or not at all.

A file is believed when its digest is that of what it says and of every tensor in it, so a byte that moved anywhere, a
file cut short or one under another's name is passed over. Neither the clock nor a file's times play a part.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from graftwork.base.load import first_line
from graftwork.base.tensors import digest_of_tensors, write_tensors
from graftwork.core.digests import digest
from graftwork.core.errors import WorkError

FORMAT = 1
UNREADABLE = (SafetensorError, ValueError, OSError, RecursionError)
"""What reading a file that is not ours, or not whole any more, may raise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A checkpoint that cannot be used, and why."""

    path: Path
    reason: str


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps lies."""
    return folder / f"step-{step:08d}.safetensors"


def checkpoints_in(folder: Path) -> list[Path]:
    """All that are there, the oldest first, whole or not."""
    return sorted(folder.glob("step-*.safetensors"))


def clear_torn(folder: Path) -> None:
    """Remove what a killed process was writing when it died; it never had a checkpoint's name."""
    for torn in folder.glob(".step-*"):
        if torn.is_dir():
            rmtree(torn)
        else:
            torn.unlink()


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """Write `tensors` and what is `told` of them: step, job, and more if wanted.

    Raises:
        WorkError: the disk is full, or the file cannot be written; what lay there before is as it was.
    """
    state = {"format": FORMAT, **told, "digest": _digest(tensors, told)}
    try:
        write_tensors(path, tensors, {"graftwork": json.dumps(state)})
    except OSError as error:
        raise WorkError(
            f"the checkpoint of step {told['step']} could not be written to {path.parent}: "
            f"{error.strerror or error}. {_left(path)}"
        ) from error


def read_told(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself; its tensors are not read, so nothing is checked against its digest.

    Raises:
        ValueError: it is none of ours, of another format, or under another's name.
        SafetensorError, OSError: it cannot be read.
    """
    with safe_open(path, "pt") as file:
        state = json.loads((file.metadata() or {}).get("graftwork", "null"))
    if not isinstance(state, dict) or not state.keys() >= {"format", "step", "job", "digest"}:
        raise ValueError("it is no checkpoint of ours")
    if state["format"] != FORMAT:
        raise ValueError(f"it is of format {state['format']!r}, written by another version; this one reads {FORMAT}")
    if not isinstance(state["step"], int) or path != path_of(path.parent, state["step"]):
        raise ValueError(f"it is the checkpoint of step {state['step']!r} under another's name")
    return state


def read_checkpoint(path: Path, job: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What it says of itself and its tensors, checked against its digest.

    Raises:
        ValueError: as `read_told`; or it is of another job, or its bytes are not the ones that were written.
        SafetensorError, OSError: it cannot be read.
    """
    state = read_told(path)
    if state["job"] != job:
        raise ValueError(f"it belongs to another job ({str(state['job'])[:12]})")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    told = {key: value for key, value in state.items() if key not in ("format", "digest")}
    if _digest(tensors, told) != state["digest"]:
        raise ValueError("its bytes are not the ones that were written")
    return told, tensors


def skipped(path: Path, error: Exception) -> Skipped:
    """`path`, passed over because of `error`."""
    return Skipped(path=path, reason=first_line(error))


def _digest(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> str:
    return digest({**told, "tensors": digest_of_tensors(tensors.items())})


def _left(path: Path) -> str:
    if before := [p for p in checkpoints_in(path.parent) if p < path]:
        last = int(before[-1].stem.removeprefix("step-"))
        return f"That of step {last} is kept. Make room there; the same command goes on from it."
    return "There is none before it. Make room there; the same command begins again."
