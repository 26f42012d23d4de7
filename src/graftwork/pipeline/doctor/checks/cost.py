"""What the training will take: its time and its memory, foretold from a pass over the probe's records.

    time   = (tokens of all steps + a look's forward passes * FORWARD_FRAC) * measured seconds a token
    memory = what is held before a pass + activations a token * tokens of the largest pass

What is held before a pass is measured: base, adapter, gradients, the optimizer's moments, libraries. Activations are
what a pass keeps for its way back, counted tensor by tensor. A cache of attention scores that grows with the square of
a record's length (attention: eager) is beyond this; what a step allocates for a moment is, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from graftwork.core.memory import available_bytes
from graftwork.core.units import bytes_text, seconds_text
from graftwork.data.batches import micro_batches, step_indices
from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient
from graftwork.pipeline.train_inputs import mixture_of, num_steps
from graftwork.training.stopping import FORWARD_FRAC, look_plan

LOOKED_AT = 100
"""Steps whose passes are looked through for the largest."""

TIGHT_FRAC = 0.8
"""Of the memory that is free, above which it is told: the training may not get so much all the time."""

MOMENTARY = 1.25
"""The peak as a multiple of what is foretold: what is allocated for a moment, or was while the base was read."""

SLOWER, LONGER = 0.7, 1.5
"""Bounds of the time as multiples of what is foretold: small probes run slower than full passes, busy machines too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a training computes.

    Attributes:
        step_tokens: of a mean step.
        pass_tokens: of its largest forward pass.
        look_tokens: of all looks at held-out records together.
    """

    num_steps: int
    step_tokens: float
    pass_tokens: int
    look_tokens: float


def examine(patient: Patient) -> Finding:
    """On the device that the doctor has, which the training would have too."""
    from graftwork.pipeline.doctor.footprint import footprint

    probed, load = patient.probed, load_of(patient)
    probe_tokens = sum(patient.probe.job.lengths)
    print_of = footprint(patient.probe)
    return judge(
        load,
        token_s=probed.seconds / probe_tokens,
        token_bytes=print_of.activation_bytes / probe_tokens,
        held_bytes=print_of.held_bytes,
        free_bytes=print_of.free_bytes if print_of.free_bytes is not None else available_bytes(),
        is_auto=patient.work.spec.training.accumulation == "auto",
    )


def judge(
    load: Load,
    *,
    token_s: float,
    token_bytes: float,
    held_bytes: int,
    free_bytes: int | None,
    is_auto: bool,
) -> Finding:
    """What follows.

    Args:
        held_bytes: taken already, without activations.
        free_bytes: that could be taken on top; None where nothing says.
        is_auto: whether passes are cut so that they fit.
    """
    seconds = token_s * (load.num_steps * load.step_tokens + FORWARD_FRAC * load.look_tokens)
    more_bytes = int(token_bytes * load.pass_tokens)
    details = {
        "seconds": round(seconds, 1),
        "peak_bytes": held_bytes + more_bytes,
        "activation_bytes": more_bytes,
        "token_s": token_s,
        "free_bytes": free_bytes,
        "num_steps": load.num_steps,
        "pass_tokens": load.pass_tokens,
    }
    time = f"{seconds_text(SLOWER * seconds)} to {seconds_text(LONGER * seconds)}"
    peak = held_bytes + more_bytes
    memory = f"{bytes_text(peak)} to {bytes_text(MOMENTARY * peak)}"
    found = f"{load.num_steps:,} steps take {time} here, and {memory} at the peak"
    if free_bytes is not None and more_bytes > TIGHT_FRAC * free_bytes and not is_auto:
        is_over = more_bytes > free_bytes
        words = "which is more than is free" if is_over else "nearly all that is free"
        to_do = "Set training.accumulation to auto, or training.gradient_checkpointing to true."
        found = f"{found}: the largest pass needs {bytes_text(more_bytes)} of {bytes_text(free_bytes)}, {words}"
        return Finding(verdict="failed" if is_over else "warned", found=found, to_do=to_do, details=details)
    return Finding(verdict="passed", found=found, details=details)


def load_of(patient: Patient) -> Load:
    """From the prepared rows and the recipe."""
    work, lengths = patient.work, patient.rows.lengths.tolist()
    spec, steps = work.spec.training, num_steps(work, patient.prepared)
    mixture = mixture_of(work, patient.rows)
    indices = [
        step_indices(number, mixture=mixture, per_step=spec.records_per_step, seed=spec.seed)
        for number in range(min(steps, LOOKED_AT))
    ]
    plan = look_plan(spec, num_steps=steps, num_held_out=patient.prepared.summary["evaluation"]["num_rows"])
    per_look = plan.num_records * mean(lengths) if plan else 0.0
    return Load(
        num_steps=steps,
        step_tokens=mean(sum(lengths[i] for i in one) for one in indices),
        pass_tokens=max(_largest(one, lengths, patient) for one in indices),
        look_tokens=per_look * (1 + steps // plan.every) if plan else 0.0,
    )


def _largest(indices: list[int], lengths: list[int], patient: Patient) -> int:
    spec, is_padded = patient.work.spec.training, patient.probe.job.layout == "rows"
    if not isinstance(spec.packing, str):
        return min(max(spec.packing.row_tokens, *(lengths[i] for i in indices)), sum(lengths[i] for i in indices))
    cut = micro_batches(indices, lengths, size=spec.batch_size)
    if is_padded:
        return max(len(one) * max(lengths[i] for i in one) for one in cut)
    return max(sum(lengths[i] for i in one) for one in cut)


CHECKS.add(
    "cost", Check(name="cost", order=100, asks="What time and memory will it take?", of_data=False, examine=examine)
)
