"""The same gradient however a step is cut: records one by one, several at a time, padded, end to end or packed.

Its records may have different numbers of targets, so a mean of means would be another gradient; what rounding leaves
is small beside that.
"""

from __future__ import annotations

from collections.abc import Mapping

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient

TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.1, "float16": 0.03}
"""How far two cuts may be apart, as a share of the gradient."""


def examine(patient: Patient) -> Finding:
    """On the probe's records, after one step, when all tensors have a gradient."""
    return judge(patient.probed.cuts, dtype=patient.work.spec.dtype)


def judge(cuts: Mapping[str, float], *, dtype: str) -> Finding:
    """What follows.

    Args:
        cuts: by name, how far each one's gradient is from that of records one by one, as a share of it.
    """
    details = {"apart_frac": dict(cuts), "tolerance": TOLERANCE[dtype]}
    if not cuts:
        return Finding(verdict="does not apply", found="there is one record, which cannot be cut", details=details)
    worst = max(cuts, key=lambda name: cuts[name])
    found = f"{len(cuts)} ways to cut a step: at most {cuts[worst]:.1e} of the gradient apart ({worst}), {dtype}"
    if cuts[worst] <= TOLERANCE[dtype]:
        return Finding(verdict="passed", found=found, details=details)
    to_do = "What is learned would depend on batch_size and packing. Set training.packing to off, and report this."
    return Finding(verdict="failed", found=found, to_do=to_do, details=details)


CHECKS.add(
    "cuts",
    Check(
        name="cuts", order=80, asks="Is the gradient the same however a step is cut?", of_data=False, examine=examine
    ),
)
