"""The report on prepared data: what became of every row, and the proof that the sums add up."""

from __future__ import annotations

import platform
from typing import Any

from graftwork import __version__
from graftwork.core.errors import IntegrityError, Problem, Told
from graftwork.data.tally import Tally, flow
from graftwork.data.tasks import Reading
from graftwork.pipeline.work import Work

MOST_FILES = 200
"""Files that the report names one by one."""


def reasons(tally: Tally) -> list[Problem]:
    """An example of each reason, the most frequent first."""
    told: list[Problem] = []
    for (step, reason), count in tally.quarantined.most_common():
        example = tally.examples[step, reason][0]
        words = f"{count} rows kept back ({step}: {reason}), the first: {example['detail']}"
        told.append(Told(example["where"], example["text"], words if count > 1 else example["detail"]))
    return told


def data_report(work: Work, tally: Tally, reading: Reading, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The report as plain data. Raises IntegrityError when a sum does not add up, which must never happen."""
    steps = flow(tally)
    used = sum(side["num_records"] for side in sides.values())
    if steps[-1]["out"] != used or tally.num_lost:
        raise IntegrityError(
            f"{steps[-1]['out']} records should be left and {used} are, {tally.num_lost} targets are in no row. "
            "This is a bug, report it."
        )
    privacy = work.spec.data.privacy
    return {
        "num_rows": tally.num_rows,
        "flow": steps,
        **sides,
        "sources": _sources(tally, reading),
        "languages": dict(tally.languages.most_common()),
        "personal_data": {
            "mode": privacy if privacy == "off" else privacy.mode,
            "num_records": tally.num_personal,
            "kinds": dict(tally.personal.most_common()),
        },
        "made": _made(work),
        "num_targets_lost": tally.num_lost,
        "num_read_back": tally.num_read_back,
        "num_not_read_back": tally.num_unread,
        "examples": [
            {"step": step, "reason": reason, **example}
            for (step, reason), examples in sorted(tally.examples.items())
            for example in examples
        ],
    }


def _sources(tally: Tally, reading: Reading) -> list[dict[str, Any]]:
    """Every file with its layout, its rows and how many of them can be used; the longest of very many."""
    ordered = tally.rows_by_file.most_common()
    shown, others = ordered[:MOST_FILES], ordered[MOST_FILES:]
    told: list[tuple[Any, ...]] = [(file, reading.layouts[file], n, tally.usable_by_file[file]) for file, n in shown]
    if others:
        usable = sum(tally.usable_by_file[file] for file, _ in others)
        told.append((f"{len(others)} further files", None, sum(n for _, n in others), usable))
    return [dict(zip(("file", "layout", "num_rows", "num_usable"), one, strict=True)) for one in told]


def _made(work: Work) -> dict[str, Any]:
    """From what the data was made."""
    return {
        "base": work.spec.base,
        "tokenizer": work.fingerprint.tokenizer,
        "template": work.fingerprint.template,
        "seed": work.spec.training.seed,
        "max_tokens": work.max_tokens,
        "graftwork": __version__,
        "python": platform.python_version(),
    }
