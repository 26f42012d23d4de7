"""A real backward pass: each trained tensor gets a finite gradient, and one that is not zero.

Many methods begin with a factor at zero, so that they change nothing; the factor beside it then gets no gradient until
the first has moved. So the pass is made again after one step, and a tensor must have been reached by either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isfinite

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient

SHOWN = 5
"""Tensors that are named."""


def examine(patient: Patient) -> Finding:
    """Before and after one step."""
    probed = patient.probed
    roles = {
        f"{key}/{param}": here.place.role for key, here in patient.probe.adapter.placed.items() for param in here.params
    }
    return judge(probed.first, probed.second, roles)


def judge(first: Mapping[str, float | None], second: Mapping[str, float | None], roles: Mapping[str, str]) -> Finding:
    """What follows.

    Args:
        first: norm of each tensor's gradient at the start, None where none arrived.
        second: after one step.
        roles: of the tensors, where they have one.
    """
    wild = [name for name in first if not all(isfinite(norm or 0.0) for norm in (first[name], second[name]))]
    unreached = [name for name in first if not (first[name] or second[name])]
    later = [name for name in first if not first[name] and second[name]]
    spared = [name for name in unreached if roles.get(name, "").startswith("experts")]
    lost = [name for name in unreached if name not in spared]
    details = {
        "num_tensors": len(first),
        "not_finite": wild,
        "unreached": lost,
        "no_token_came": spared,
        "reached_after_one_step": len(later),
        "by_role": dict(Counter(roles.get(name, "base") for name in first)),
    }
    if wild:
        found = f"{len(wild)} of {len(first)} gradients are not finite: {_named(wild)}"
        to_do = "Lower training.learning_rate, take dtype: bfloat16 or float32, and look at the records."
        return Finding(verdict="failed", found=found, to_do=to_do, details=details)
    if lost:
        found = f"{len(lost)} of {len(first)} trained tensors get no gradient, before a step or after: {_named(lost)}"
        to_do = "They would stay as they are. Take them out of adapter.targets, or choose places that the loss sees."
        return Finding(verdict="failed", found=found, to_do=to_do, details=details)
    waiting = f"; {len(later)} of them only after one step, since their method begins at zero" if later else ""
    if spared:
        found = (
            f"all but {len(spared)} of {len(first)} tensors get one{waiting}; to those no token of the probe was sent"
        )
        to_do = "Experts that are seldom chosen learn little; adapt the attention too, or take more data."
        return Finding(verdict="warned", found=found, to_do=to_do, details=details)
    found = f"all {len(first)} trained tensors get a finite gradient{waiting}"
    return Finding(verdict="passed", found=found, details=details)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


CHECKS.add(
    "gradients",
    Check(name="gradients", order=70, asks="Does the gradient reach every target?", of_data=False, examine=examine),
)
