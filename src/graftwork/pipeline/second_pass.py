"""What needs all records: duplicates, contradictions, leakage, the split; then both sides are written."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Problem, SpecError
from graftwork.data.chunk import EXCERPT
from graftwork.data.quality.text import compared_text
from graftwork.data.quality.whole import WholeQuarantined, judged
from graftwork.data.spec import HeldOut
from graftwork.data.split import FEWEST, held_out, joined
from graftwork.data.store import StoreWriter
from graftwork.data.summary import side_summary
from graftwork.data.written import record_data

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from graftwork.pipeline.spool import Spool
    from graftwork.pipeline.work import Work

    Array = np.ndarray[Any, Any]

TOLD_EVERY = 5_000


TEMPLATE_RECORDS, TEMPLATE_FRAC = 50, 0.01
"""Near duplicates that are more than both of these, in number and as a share of all records, are made from one template
("the balance of account 1207 is ..."): together on one side they would leave nothing to hold out, so each stands for
itself in the split, and the report says so."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Indices of the records of both sides, in order.

    Attributes:
        num_groups: what was drawn: records that must stay together count as one; None for sides that were given.
        num_from_templates: records that are near duplicates of too many others to be kept together.
    """

    train: Array
    evaluation: Array
    num_groups: int | None = None
    num_from_templates: int = 0


def decide(work: Work, spool: Spool) -> Sides:
    """Which records go where; those that are set aside are written into quarantine here.

    Raises:
        SpecError: too few are left on a side.
    """
    import numpy as np

    spec = work.spec.data
    is_apart = spool.array("is_held_out").astype(bool)
    has_own_file = bool(spec.held_out_sources)
    verdict = judged(
        spool.traits(),
        spec.quality,
        text_of=lambda i: compared_text(spool.record(i)),
        side=is_apart.astype("u1") if has_own_file else None,
        progress=lambda share: work.watch.preparing("comparing", round(share * len(spool)), len(spool)),
    )
    for i, why in sorted(verdict.quarantined.items()):
        _set_aside(spool, i, why)
    kept = np.ones(len(spool), dtype=bool)
    kept[list(verdict.quarantined)] = False
    left = np.flatnonzero(kept)
    if isinstance(spec.evaluation, HeldOut):
        sides = _split(spool, left, verdict.group[left], spec.evaluation, work.spec.training.seed)
    else:
        is_held = is_apart[left]
        sides = Sides(left[~is_held], left[is_held])
    _refuse_too_few(sides)
    return sides


def _split(spool: Spool, left: Array, near: Array, asked: HeldOut, seed: int) -> Sides:
    """Records `left` on two sides; `near` says which of them are near duplicates."""
    import numpy as np

    digests = spool.array("digests")[left]
    same = (digests[:, 0] >> np.uint64(1)).astype(np.int64)
    is_template = np.bincount(near)[near] > max(TEMPLATE_RECORDS, TEMPLATE_FRAC * len(left))
    groups = joined(np.where(is_template, -1, near), same, spool.array("groups")[left])
    strata = {"source": "sources", "answer": "answers"}.get(asked.stratify)
    chosen = spool.array(strata)[left] if strata else np.zeros(len(left), dtype="<i8")
    is_held = held_out(digests, groups, chosen, asked, seed=seed)
    return Sides(left[~is_held], left[is_held], len(np.unique(groups)), int(is_template.sum()))


def write_side(work: Work, spool: Spool, name: str, indices: Array) -> dict[str, Any]:
    """Write records and tokens of one side, and return its summary."""
    folder: Path = work.folder.path / "data"
    total = sha256()
    targets: list[int] = []
    with (folder / f"{name}.jsonl").open("wb") as lines, StoreWriter(folder / name) as store:
        for number, i in enumerate(indices.tolist()):
            lines.write(spool.line(i))
            total.update(spool.digests[16 * i : 16 * i + 16])
            for entry in map(spool.tokens.packed, spool.entries(i)):
                store.add(entry)
                targets.append(entry.num_targets)
            if number % TOLD_EVERY == 0:
                work.watch.preparing(f"writing {name}", number, len(indices))
                work.stop_if_asked("the data was being written")
    work.watch.preparing(f"writing {name}", len(indices), len(indices))
    told = side_summary(store.lengths, targets, num_records=len(indices), digest=total.hexdigest())
    return {**told, "files": store.files}


def _set_aside(spool: Spool, i: int, why: WholeQuarantined) -> None:
    record = spool.record(i)
    like = "" if why.like is None else str(spool.record(why.like).origin)
    detail = why.detail.replace("{like}", like)
    key = "all records", why.reason
    asked = f"{record.question} → " if record.question else ""
    spool.tally.quarantined[key] += 1
    shown = {"where": str(record.origin), "text": (asked + record.answer)[:EXCERPT], "detail": detail}
    spool.tally.show(key, lambda: shown)
    data = record_data(record)
    spool.quarantine({**data.pop("origin"), "step": key[0], "reason": key[1], "detail": detail, **data})


def _refuse_too_few(sides: Sides) -> None:
    problems = []
    if not len(sides.train):
        problems.append(Problem("data.train", 0, "records to train on"))
    if len(sides.evaluation) < FEWEST:
        num = f"{len(sides.evaluation)} record{'s' if len(sides.evaluation) != 1 else ''}"
        problems.append(Problem("data.evaluation", num, f"at least {FEWEST} records", "One shows no spread."))
    if problems:
        raise SpecError(problems)
