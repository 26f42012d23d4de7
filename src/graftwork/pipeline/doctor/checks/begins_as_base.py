"""Step 0 is the base: before the first step the adapter changes nothing, bit for bit where its method promises so."""

from __future__ import annotations

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient

NEARLY = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 0.05, "float16": 0.01}
"""Where a method promises only that rounding changes: how far the logits may be apart, as a share of them."""

EXACT, NEAR, NOT = "exact", "nearly", "no"


def examine(patient: Patient) -> Finding:
    """On the probe's records, with an adapter that was just made."""
    from graftwork.pipeline.doctor.probe import apart_frac, logits

    work = patient.work
    if work.spec.is_full:
        found = "full tuning begins as a copy of the base's own files"
        return Finding(verdict="does not apply", found=found)
    probe, bank = patient.probe, patient.probe.bank
    handle = bank.fresh(work.spec.adapter, seed=work.spec.training.seed, name="fresh")
    try:
        promises = [here.method.neutral for here in bank[handle].placed.values()]
        below = probe.job.below
        apart = apart_frac(logits(bank, below, probe), logits(bank, (*below, handle), probe))
    finally:
        bank.remove(handle)
    return judge(apart, promise=weakest(promises), dtype=work.spec.dtype)


def judge(apart: float, *, promise: str, dtype: str) -> Finding:
    """What follows.

    Args:
        apart: of the logits with the adapter from those without, as a share of them.
        promise: what the method says of its start: exact, nearly or no.
    """
    details = {"apart_frac": apart, "promise": promise}
    if promise == NOT:
        found = f"this method begins beside the base by its nature: logits {apart:.1%} apart"
        return Finding(verdict="passed", found=found, details=details)
    if apart == 0:
        return Finding(verdict="passed", found="a fresh adapter changes not one bit of the logits", details=details)
    if promise == NEAR and apart <= NEARLY[dtype]:
        found = f"a fresh adapter changes the logits by rounding alone ({apart:.1e} of them)"
        return Finding(verdict="passed", found=found, details=details)
    return Finding(
        verdict="failed",
        found=f"a fresh adapter changes the logits by {apart:.1e} of them before the first step",
        to_do="Training would not begin at the base; this is a bug of the method, report it.",
        details=details,
    )


def weakest(promises: list[str]) -> str:
    """What methods promise together."""
    return next(promise for promise in (NOT, NEAR, EXACT) if promise in promises or promise == EXACT)


CHECKS.add("start", Check(name="start", order=60, asks="Is step 0 the base?", of_data=False, examine=examine))
