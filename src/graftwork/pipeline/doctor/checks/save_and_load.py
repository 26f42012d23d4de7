"""Written and read again: the adapter after one step, as a folder and back, foretells the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.checks.begins_as_base import NEARLY
from graftwork.pipeline.doctor.patient import Patient


def examine(patient: Patient) -> Finding:
    """In a folder that is gone afterwards."""
    if patient.work.spec.is_full:
        found = "the model is written by its own library; it is as large as the base, so it is not tried here"
        return Finding(verdict="does not apply", found=found)
    from graftwork.adapters.files import exchangeable, write_adapter
    from graftwork.pipeline.doctor.probe import apart_frac, logits

    _ = patient.probed  # one step: a fresh adapter would do nothing on either side
    probe, bank = patient.probe, patient.probe.bank
    with tempfile.TemporaryDirectory(prefix="graftwork-doctor-") as passing:
        folder = Path(passing) / "adapter"
        write_adapter(folder, probe.asked, bank.host, {})
        handle = bank.load(folder)
        try:
            below = probe.job.below
            apart = apart_frac(logits(bank, probe.job.row, probe), logits(bank, (*below, handle), probe))
        finally:
            bank.remove(handle)
    is_other = exchangeable(probe.asked).digest() != probe.asked.digest()
    return judge(apart, as_lora=is_other, dtype=patient.work.spec.dtype)


def judge(apart: float, *, as_lora: bool, dtype: str) -> Finding:
    """What follows.

    Args:
        apart: of the logits of what was read from those of what was written, as a share of them.
        as_lora: whether it is written as the plain LoRA it comes to, whose sums are rounded otherwise.
    """
    details = {"apart_frac": apart, "as_lora": as_lora}
    if apart == 0:
        return Finding(
            verdict="passed", found="written and read again, every bit of the logits is the same", details=details
        )
    if as_lora and apart <= NEARLY[dtype]:
        found = f"written as the plain LoRA it comes to, the logits differ by rounding alone ({apart:.1e} of them)"
        return Finding(verdict="passed", found=found, details=details)
    return Finding(
        verdict="failed",
        found=f"written and read again, the logits are {apart:.1e} of them apart",
        to_do="What is kept would not be what was trained; this is a bug of the method's folder, report it.",
        details=details,
    )


CHECKS.add(
    "saving",
    Check(name="saving", order=90, asks="Is what is written what was trained?", of_data=False, examine=examine),
)
