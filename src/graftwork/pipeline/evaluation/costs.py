"""What a subject costs beside its answers: bytes to be loaded, and how an adapter is put into memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graftwork.adapters.file_form import CONFIG
from graftwork.pipeline.evaluation.efficiency import Cost

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank

NEEDED = ("*.safetensors", "*.safetensors.index.json", CONFIG, "config.json")
"""Weights, and what says how to read them. Cards are for people, and a tokenizer belongs to the base."""


def adapter_cost(bank: AdapterBank, folder: Path, *, num_trained: int | None, training_s: float | None = None) -> Cost:
    """Of the adapter in `folder`, which can be loaded into `bank`."""
    return Cost(
        folder=folder,
        loads=partial(_load_once, bank, folder),
        num_bytes=num_bytes(folder),
        num_trained=num_trained,
        training_s=training_s,
    )


def model_cost(folder: Path, *, num_trained: int | None = None, training_s: float | None = None) -> Cost:
    """Of the tuned model in `folder`."""
    return Cost(num_bytes=num_bytes(folder), num_trained=num_trained, training_s=training_s)


def num_bytes(folder: Path) -> int:
    """Of the files in `folder` that are needed to load what lies there."""
    return sum(path.stat().st_size for path in {path for name in NEEDED for path in folder.glob(name)})


def _load_once(bank: AdapterBank, folder: Path) -> None:
    bank.remove(bank.load(folder))
