"""What is learned: the targets of a few records in their context, so that a person sees them, and whether they say the
answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graftwork.data.encode import Encoded
from graftwork.data.records import Record
from graftwork.pipeline.doctor.check import CHECKS, Check, Finding
from graftwork.pipeline.doctor.patient import Patient
from graftwork.pipeline.pages.preview_rows import pieces

SHOWN = 3
"""Records that are shown."""


def examine(patient: Patient) -> Finding:
    """Whether each answer is among what its rows learn."""
    tokenizer = patient.work.chat.tokenizer

    def said(tokens_T: Sequence[int]) -> str:
        text: str = tokenizer.decode(tokens_T, clean_up_tokenization_spaces=False)
        return text

    counted = patient.prepared.summary["train"]
    told = [(record, list(patient.rows_of(record))) for record in patient.read]
    whole = [(record, rows) for record, rows in told if len(rows) == 1 and not record.learn]
    unsaid = [str(record.origin) for record, (row,) in whole if not says_answer(record, learned(row), said)]
    shown = [_shown(rows[0], said, patient) for _, rows in told[:SHOWN] if rows]
    return judge(
        num_targets=counted["num_targets"],
        num_tokens=counted["num_tokens"],
        num_looked_at=len(whole),
        unsaid=unsaid,
        shown=shown,
    )


def judge(
    *, num_targets: int, num_tokens: int, num_looked_at: int, unsaid: Sequence[str], shown: Sequence[Any]
) -> Finding:
    """What follows.

    Args:
        unsaid: where the records come from whose answer is not among what is learned.
    """
    share = f"{num_targets:,} of {num_tokens:,} tokens are learned ({num_targets / num_tokens:.1%})"
    details = {"num_targets": num_targets, "num_tokens": num_tokens, "examples": list(shown), "unsaid": list(unsaid)}
    if unsaid:
        found = f"{share}; in {len(unsaid)} of {num_looked_at} records the answer is not among them, first {unsaid[0]}"
        to_do = "Look at the examples: the template writes answers in another way, or drops them."
        return Finding(verdict="failed", found=found, to_do=to_do, details=details)
    return Finding(verdict="passed", found=f"{share}; {num_looked_at} answers looked at, all learned", details=details)


def learned(row: Encoded) -> list[int]:
    """The tokens of a row that are learned, in order."""
    return [token for t, (token, target) in enumerate(zip(row.tokens_T, row.is_target_T, strict=True)) if target and t]


def says_answer(record: Record, tokens_T: Sequence[int], said: Any) -> bool:
    """Whether tokens say a record's last answer."""
    return record.answer.strip() in said(tokens_T)


def _shown(row: Encoded, said: Any, patient: Patient) -> dict[str, Any]:
    tokenizer = patient.work.chat.tokenizer
    special = {*tokenizer.all_special_ids, *(i for i, t in tokenizer.added_tokens_decoder.items() if t.special)}
    told = [(piece.text, piece.is_target) for piece in pieces(row.tokens_T, row.is_target_T, said, special)]
    stretches: list[dict[str, Any]] = []
    for text, is_target in told:
        if stretches and stretches[-1]["learned"] == is_target:
            stretches[-1]["text"] += text
        else:
            stretches.append({"learned": is_target, "text": text})
    return {"origin": str(row.origin), "stretches": stretches}


CHECKS.add("targets", Check(name="targets", order=10, asks="What is learned?", of_data=True, examine=examine))
