"""What of the data is likely to disappoint: little of it, much of it lost, seen too often, nothing to measure by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient
from graftwork.pipeline.train_inputs import num_steps

FEW_RECORDS = 50
"""Training records below which an adapter mostly learns them by heart."""

FEW_HELD_OUT = 30
"""Held-out records below which an interval of a share is wider than a third."""

MANY_EPOCHS = 10.0
"""Passes over the data above which it is learned by heart."""

MUCH_LOST_FRAC = 0.2
"""Of the rows, in quarantine."""

ONE_SIDED_FRAC = 0.9
"""Of the answers read, the same one: a model that says nothing else is then nearly always right."""

TELLING = ("contradictions", "leakage")
"""Reasons of quarantine that say something about the source, however few they are."""


def examine(patient: Patient) -> Finding:
    """From the report on the data, and the training that it is for."""
    told, spec = patient.prepared.summary, patient.work.spec
    quarantined: Counter[str] = Counter()
    for step in told["flow"]:
        quarantined.update(step["quarantined"])
    seen = num_steps(patient.work, patient.prepared) * spec.training.records_per_step
    return judge(
        num_rows=told["num_rows"],
        num_train=told["train"]["num_records"],
        num_held_out=told["evaluation"]["num_records"],
        epochs=seen / max(1, told["train"]["num_rows"]),
        quarantined=quarantined,
        answers=[record.answer for record in patient.read],
        unread=told["num_not_read_back"],
    )


def judge(
    *,
    num_rows: int,
    num_train: int,
    num_held_out: int,
    epochs: float,
    quarantined: Mapping[str, int],
    answers: Sequence[str],
    unread: int,
) -> Finding:
    """What follows.

    Args:
        quarantined: rows kept back, by reason.
        answers: of the first training records.
        unread: rows that the tokenizer does not read back.
    """
    smells = [
        *_of_size(num_train, num_held_out, epochs),
        *_of_loss(num_rows, quarantined, unread),
        *_of_answers(answers),
    ]
    details = {"epochs": round(epochs, 2), "quarantined": dict(quarantined), "smells": [found for found, _ in smells]}
    counts = f"{num_train:,} records to train on, {num_held_out:,} held out, {epochs:.1f} passes"
    if not smells:
        return Finding(verdict="passed", found=f"{counts}; nothing that stands out", details=details)
    found, to_do = "; ".join(one for one, _ in smells), " ".join(dict.fromkeys(do for _, do in smells))
    return Finding(verdict="warned", found=f"{counts}: {found}", to_do=to_do, details=details)


def _of_size(num_train: int, num_held_out: int, epochs: float) -> Iterator[tuple[str, str]]:
    if num_train < FEW_RECORDS:
        yield f"fewer than {FEW_RECORDS} training records", "Gather more, or put them into the prompt as examples."
    if num_held_out < FEW_HELD_OUT:
        yield f"fewer than {FEW_HELD_OUT} held-out records", "Hold out more: so few tell little about what was gained."
    if epochs > MANY_EPOCHS:
        yield f"every record is seen {epochs:.0f} times", "Lower training.steps, or stop early: it is learned by heart."


def _of_loss(num_rows: int, quarantined: Mapping[str, int], unread: int) -> Iterator[tuple[str, str]]:
    lost = sum(quarantined.values())
    if lost > MUCH_LOST_FRAC * num_rows:
        yield f"{lost:,} of {num_rows:,} rows are in quarantine", "Read data/report.html: it says why."
    for reason in TELLING:
        if quarantined.get(reason):
            yield f"{quarantined[reason]:,} rows: {reason}", "Read data/report.html: it says why."
    if unread:
        yield f"{unread:,} rows are not read back as written", "The tokenizer changes what it reads; look at them."


def _of_answers(answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(answers) >= 8 and (most := Counter(answers).most_common(1)[0][1]) > ONE_SIDED_FRAC * len(answers):
        found = f"{most} of the first {len(answers)} answers are the same"
        yield found, "Balance the answers, or let data.evaluation.stratify show what is learned of the others."


CHECKS.add("data", Check(name="data", order=40, asks="Will this data do?", of_data=True, examine=examine))
