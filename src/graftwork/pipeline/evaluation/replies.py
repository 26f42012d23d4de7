"""The log of replies: what was said once is not asked again.

A line a reply, added batch by batch, so that an evaluation that is killed goes on where it was. A line that is torn, or
not as it was written, counts as not there, and what it held is asked again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftwork.core.digests import digest
from graftwork.core.files import write_text
from graftwork.evaluation.item import Question, Reply

if TYPE_CHECKING:
    from pathlib import Path

FILE = "replies.jsonl"
DECODING = "greedy"


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply, and the plan in which it was asked for: what else was in its batch follows from that."""

    reply: Reply
    plan: str


def question_key(question: Question) -> str:
    """Names a question, with how it is to be answered."""
    told = {
        "prompt": [dict(turn) for turn in question.prompt],
        "options": list(question.options),
        "max_new_tokens": 0 if question.options else question.max_new_tokens,
        "is_text": question.is_text,
        **({"is_alone": True} if question.is_alone else {}),
        "decoding": DECODING,
    }
    return digest(told)[:32]


def reply_key(question: str, subject: str) -> str:
    """Names a reply, by the names of question and subject: equal questions to equal subjects have equal ones."""
    return digest([question, subject])[:32]


class ReplyLog:
    """Replies on disk and in memory, by key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, Kept] = {}
        if path.is_file():
            self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __getitem__(self, key: str) -> Kept:
        return self._kept[key]

    def add(self, replies: Mapping[str, Reply], plan: str) -> None:
        """Add what is not there yet, in this order; on disk when this returns."""
        fresh = {key: Kept(reply, plan) for key, reply in replies.items() if key not in self._kept}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write("".join(_line(key, kept) for key, kept in fresh.items()).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        self._kept.update(fresh)

    def _read(self) -> None:
        lines = self.path.read_bytes().split(b"\n")
        told = [_read_line(line) for line in lines if line]
        self._kept = dict(one for one in told if one is not None)
        if None in told or lines[-1]:
            write_text(self.path, "".join(_lines(self._kept.items())))


def _lines(kept: Iterable[tuple[str, Kept]]) -> Iterable[str]:
    return (_line(key, one) for key, one in kept)


def _line(key: str, kept: Kept) -> str:
    reply = kept.reply
    told: dict[str, Any] = {"key": key, "plan": kept.plan}
    told |= {"nats": list(reply.nats), "tokens": list(reply.tokens)} if reply.nats else {"said": reply.said}
    return json.dumps({**told, "sum": digest(told)[:16]}, ensure_ascii=False, allow_nan=False) + "\n"


def _read_line(line: bytes) -> tuple[str, Kept] | None:
    try:
        told = json.loads(line)
        if told.pop("sum") != digest(told)[:16]:
            return None
        reply = Reply(said=told.get("said", ""), nats=tuple(told.get("nats", ())), tokens=tuple(told.get("tokens", ())))
        return told["key"], Kept(reply, told["plan"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
