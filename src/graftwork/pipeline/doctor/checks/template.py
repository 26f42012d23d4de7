"""The way there and back: a conversation is written, tokenised and read again, ends with a stop token that is learned,
and begins as the model will later be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graftwork.data.encode import Encoding, Rows
from graftwork.data.records import Record
from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient

TO_DO = {
    "unread": "The tokenizer changes what it reads (lower case, other forms of a character); take another base.",
    "unstopped": "The template writes no end of turn behind an answer, so the model would never learn to stop. Add the "
    "stop token there, or take the base's own template.",
    "asked_otherwise": "The template writes a question in another way when an answer follows than when one is asked "
    "for. Repair its generation prompt.",
}


def examine(patient: Patient) -> Finding:
    """All three, for the first records."""
    chat, spec = patient.work.chat, patient.work.spec.data
    encoding = Encoding(learn=spec.learn, max_tokens=10**9, overlap=None)
    wrong: dict[str, list[str]] = {name: [] for name in TO_DO}
    looked_at = 0
    for record in patient.read:
        rows = encoding.of(record, chat)
        if not isinstance(rows, Rows):  # it did not become a row either, or for its length alone
            continue
        looked_at += 1
        for name in problems_of(record, rows, chat):
            wrong[name].append(str(record.origin))
    return judge(looked_at, wrong)


def judge(looked_at: int, wrong: dict[str, list[str]]) -> Finding:
    """What follows from which records have which of the three wrong."""
    words = {
        "unread": "are not read back as they were written",
        "unstopped": "do not end with a stop token that is learned",
        "asked_otherwise": "begin otherwise than the model will be asked",
    }
    told = [f"{len(origins)} {words[name]} (first {origins[0]})" for name, origins in wrong.items() if origins]
    details = {"num_records": looked_at, **wrong}
    if told:
        to_do = " ".join(TO_DO[name] for name, origins in wrong.items() if origins)
        return Finding(
            verdict="failed", found=f"of {looked_at} records {'; '.join(told)}", to_do=to_do, details=details
        )
    if not looked_at:
        return Finding(verdict="does not apply", found="no record could be looked at as text", details=details)
    found = f"{looked_at} records: read back as written, each ends with a learned stop token and begins as it is asked"
    return Finding(verdict="passed", found=found, details=details)


def problems_of(record: Record, rows: Rows, chat: Any) -> list[str]:
    """Which of the three are wrong with one record."""
    (row,) = rows.entries
    targets = [t for t, target in enumerate(row.is_target_T) if target and t]
    found = []
    if not chat.reads_back(rows.written.tokens_T, rows.written.text):
        found.append("unread")
    if not record.learn and row.tokens_T[targets[-1]] not in chat.stop_ids:
        found.append("unstopped")
    if _is_asked(record) and not _begins_with(row.tokens_T, targets, chat.prompt(record.prompt, record.tools)):
        found.append("asked_otherwise")
    return found


def _is_asked(record: Record) -> bool:
    return (
        bool(record.prompt) and not record.is_text and not record.learn and record.messages[-1]["role"] == "assistant"
    )


def _begins_with(tokens_T: Sequence[int], targets: Sequence[int], prompt_T: Sequence[int]) -> bool:
    return list(tokens_T[: len(prompt_T)]) == list(prompt_T) and len(prompt_T) in targets


CHECKS.add(
    "template",
    Check(name="template", order=20, asks="Is it written as it will be asked?", of_data=True, examine=examine),
)
