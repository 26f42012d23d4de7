"""What lengths cost: targets that no row has, records kept back as too long, records cut into windows."""

from __future__ import annotations

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient

MOST_CUT_FRAC = 0.3
"""Of the records, how many may be cut into windows before it is told: each then sees only its part."""

LOST = ("too long", "system turn")
"""Reasons of quarantine that are about length."""


def examine(patient: Patient) -> Finding:
    """From the report on the data."""
    told, work = patient.prepared.summary, patient.work
    kept_back = sum(step["quarantined"].get(reason, 0) for step in told["flow"] for reason in LOST)
    windows = patient.rows.windows.tolist()
    return judge(
        num_lost=told["num_targets_lost"],
        num_kept_back=kept_back,
        num_records=told["train"]["num_records"],
        num_cut=sum(1 for window in windows if window == 1),
        longest=told["train"]["longest_tokens"],
        max_tokens=work.max_tokens,
    )


def judge(
    *, num_lost: int, num_kept_back: int, num_records: int, num_cut: int, longest: int, max_tokens: int
) -> Finding:
    """What follows.

    Args:
        num_lost: targets of kept records that are in no row.
        num_kept_back: records in quarantine for their length.
        num_cut: records that are more than one window.
    """
    details = {
        "num_targets_lost": num_lost,
        "num_kept_back": num_kept_back,
        "num_cut": num_cut,
        "longest_tokens": longest,
        "max_tokens": max_tokens,
    }
    cut = f"{num_cut:,} of {num_records:,} records are cut into windows" if num_cut else "no record is cut"
    found = f"{num_lost} learned tokens lost; {cut}; the longest row has {longest:,} of {max_tokens:,} tokens"
    if num_lost:
        to_do = "No target may be lost; this is a bug, report it."
        return Finding(verdict="failed", found=found, to_do=to_do, details=details)
    if num_kept_back:
        found = f"{num_kept_back} records are in quarantine for their length; {found}"
        to_do = "Raise data.max_tokens, or set data.windows to cut them; their targets are not learned now."
        return Finding(verdict="warned", found=found, to_do=to_do, details=details)
    if num_cut > MOST_CUT_FRAC * num_records:
        to_do = "Raise data.max_tokens if memory allows: what a window does not hold, its targets do not see."
        return Finding(verdict="warned", found=found, to_do=to_do, details=details)
    return Finding(verdict="passed", found=found, details=details)


CHECKS.add("lengths", Check(name="lengths", order=30, asks="Is anything cut off?", of_data=True, examine=examine))
