"""What is trained and what is not: tensors, numbers and their share, role by role; and not a byte of the base moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient


def examine(patient: Patient) -> Finding:
    """From what is in memory, and after a step of it."""
    probe, told = patient.probe, patient.checked.summary
    params = probe.job.params
    open_params = [] if patient.work.spec.is_full else _asking(patient)
    return judge(
        rows=_rows(patient),
        num_tensors=len(params),
        num_params=sum(prod(tensor.shape) for tensor in params.values()),
        num_base_params=told["num_base_params"],
        asking=open_params,
        base_moved=patient.probed.base_moved,
    )


def judge(
    *,
    rows: Sequence[Mapping[str, Any]],
    num_tensors: int,
    num_params: int,
    num_base_params: int,
    asking: Sequence[str],
    base_moved: bool | None,
) -> Finding:
    """What follows.

    Args:
        rows: by role: tensors and numbers.
        asking: parameters of the frozen base that ask for a gradient.
        base_moved: after a step; None where the base itself is trained.
    """
    details = {"roles": list(rows), "num_tensors": num_tensors, "num_params": num_params, "asking": list(asking)}
    found = (
        f"{num_params:,} numbers in {num_tensors:,} tensors are trained, {num_params / num_base_params:.2%} of the base"
    )
    if not num_params:
        return Finding(verdict="failed", found="nothing is trained", to_do="Give adapter.targets.", details=details)
    if asking or base_moved:
        told = f"{len(asking)} of its parameters ask for a gradient, first {asking[0]}" if asking else "a step moved it"
        to_do = "The base must stay as it is; this is a bug, report it."
        return Finding(verdict="failed", found=f"{found}; the base is not frozen: {told}", to_do=to_do, details=details)
    still = "it is the base itself, on a copy" if base_moved is None else "a step moved no byte of the base"
    return Finding(verdict="passed", found=f"{found}; {still}", details=details)


def _asking(patient: Patient) -> list[str]:
    return [name for name, p in patient.probe.bank.host.model.named_parameters() if p.requires_grad]


def _rows(patient: Patient) -> list[dict[str, Any]]:
    if patient.work.spec.is_full:
        return [{"role": row["role"], "num_params": row["num_params"]} for row in patient.checked.summary["roles"]]
    found: dict[str, dict[str, Any]] = {}
    for here in patient.probe.adapter.placed.values():
        trained = [tensor for name, tensor in here.params.items() if name not in here.method.kept]
        row = found.setdefault(here.place.role, {"role": here.place.role, "num_tensors": 0, "num_params": 0})
        row["num_tensors"] += len(trained)
        row["num_params"] += sum(tensor.numel() for tensor in trained)
    return list(found.values())


CHECKS.add(
    "trained", Check(name="trained", order=50, asks="What is trained, and what not?", of_data=False, examine=examine)
)
