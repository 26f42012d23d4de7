"""Which records are held out: by content and seed alone, so order, machine and file layout do not matter. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from graftwork.core.digests import digest
from graftwork.core.errors import Problem, SpecError
from graftwork.data.records import Record
from graftwork.data.spec import HeldOut

FEWEST = 2
"""Held-out records that are needed at least: from one, no spread can be estimated."""


@dataclass(frozen=True, slots=True)
class Split:
    """Training and held-out records, each in the order of their files."""

    train: tuple[Record, ...]
    evaluation: tuple[Record, ...]


def split(records: Sequence[Record], held_out: HeldOut, *, seed: int) -> Split:
    """Hold out a share of `records`; records of the same content stay on one side.

    Raises:
        SpecError: nothing would be left on one of the sides.
    """
    contents = sorted({record.digest for record in records}, key=lambda d: _draw(seed, d))
    num_held = round(held_out.fraction * len(contents))
    num_held = min(num_held, held_out.most) if held_out.most else num_held
    held = set(contents[:num_held])
    result = Split(
        train=tuple(r for r in records if r.digest not in held),
        evaluation=tuple(r for r in records if r.digest in held),
    )
    if not result.train or len(result.evaluation) < FEWEST:
        expected = f"a share that leaves records to train on and holds out at least {FEWEST}"
        hint = f"There are {len(contents)} different records, {num_held} would be held out."
        raise SpecError([Problem("data.evaluation.fraction", held_out.fraction, expected, hint)])
    return result


def overlap(train: Sequence[Record], evaluation: Sequence[Record]) -> list[Record]:
    """Evaluation records whose content is also trained on."""
    trained = {record.digest for record in train}
    return [record for record in evaluation if record.digest in trained]


def digest_of_records(records: Sequence[Record]) -> str:
    """Names a sequence of records by content and order."""
    return digest([record.digest for record in records])


def _draw(seed: int, content: str) -> bytes:
    return hashlib.sha256(f"{seed}:{content}".encode()).digest()
