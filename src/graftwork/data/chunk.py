"""A chunk of rows to records, tokens and decisions: everything that needs one record at a time. Runs in any process."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any

from graftwork.data.cut_text import cut_earlier, cuts_earlier
from graftwork.data.edits import Edit, edited
from graftwork.data.encode import Encoding, Unusable, Writer
from graftwork.data.layouts.layout import record_of
from graftwork.data.privacy.deidentify import Deidentifier, Found
from graftwork.data.privacy.key import Key
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.quality.judge import Judge
from graftwork.data.quality.traits import Traits, traits
from graftwork.data.records import Origin, Record
from graftwork.data.script import script_of
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import SHOWN_CHARACTERS, Bad, Row
from graftwork.data.spec import DataSpec
from graftwork.data.store import Packed, packed
from graftwork.data.tally import Tally
from graftwork.data.written import json_line, record_data

ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([nrtbf\"/\\]))")
EXCERPT = 300
"""Characters of a text that an example shows."""
READ_BACK = 50
"""Records of a task whose tokens are turned into text again, to see that the tokenizer changes nothing."""
BESIDE = 40
"""Characters shown on each side of a find of personal data."""


@dataclass(frozen=True, slots=True)
class Task:
    """Rows of one file, to be prepared.

    Attributes:
        source: what the recipe says of where they come from, and its number.
        layout: its name.
        is_held_out: whether they are from a file of held-out records.
    """

    source: SourceSpec
    number: int
    layout: str
    is_held_out: bool
    found: Sequence[Row | Bad]


@dataclass(frozen=True, slots=True)
class Ready:
    """A record that can be used.

    Attributes:
        line: as it is written, one JSON object.
        digest: names its content, 16 bytes.
        group: what it must stay together with, as a number; -1 when nothing is said.
        answer: names its answer, as a number.
    """

    line: bytes
    digest: bytes
    group: int
    answer: int
    origin: Origin
    is_held_out: bool
    entries: tuple[Packed, ...]


@dataclass(slots=True)
class Chunk:
    """What became of a task.

    Attributes:
        quarantined: rows for the quarantine file.
        sealed: what stands behind new pseudonyms, encrypted.
    """

    traits: Traits | None = None
    ready: list[Ready] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    sealed: dict[str, bytes] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


class Preparer:
    """Prepares tasks; the same result for the same task in any process."""

    def __init__(self, spec: DataSpec, writer: Writer, encoding: Encoding, key: Key | None) -> None:
        self._spec, self._writer, self._encoding = spec, writer, encoding
        self._judge = Judge(spec.quality)
        self._privacy = None if spec.privacy == "off" else Deidentifier(spec.privacy, key)

    def __call__(self, task: Task) -> Chunk:
        """Everything that can be said of the task's rows without the others."""
        chunk = Chunk()
        records = []
        for found in task.found:
            chunk.tally.num_rows += 1
            chunk.tally.rows_by_file[found.origin.file] += 1
            record = self._record(found, task, chunk)
            if record is not None and self._encoded(record, task, chunk):
                records.append(record)
        chunk.traits = traits(records, self._spec.quality)
        return chunk

    def _record(self, found: Row | Bad, task: Task, chunk: Chunk) -> Record | None:
        if isinstance(found, Bad):
            self._keep_back(chunk, "layout" if found.reason == "layout" else "read", found)
            return None
        made = record_of(found, task.layout, task.source, system=self._spec.system, source_number=task.number)
        if isinstance(made, Bad):
            self._keep_back(chunk, "layout", made)
            return None
        judged = self._judge(made)
        for check, how in judged.repairs:
            chunk.tally.repaired["quality", f"{check}: {how}"] += 1
            chunk.tally.show(("quality", f"{check}: {how}"), partial(self._repaired, made, judged.record or made))
        if judged.quarantined is not None:
            self._quarantine(chunk, "quality", judged.quarantined.reason, judged.quarantined.detail, made)
            return None
        return self._without_personal_data(judged.record or made, chunk)

    def _without_personal_data(self, record: Record, chunk: Chunk) -> Record | None:
        if self._privacy is None or self._spec.privacy == "off":
            return record
        found: list[str] = []

        def edits(text: str) -> Sequence[Edit]:
            assert self._privacy is not None
            cleaned = self._privacy.clean(text)
            found.extend(one.kind for one in cleaned.found)
            chunk.sealed.update(cleaned.sealed)
            for one in cleaned.found:
                chunk.tally.show(("personal", one.kind), partial(self._around, record, text, one))
            return cleaned.edits

        clean = record.edited(edits)
        chunk.tally.personal.update(found)
        chunk.tally.num_personal += bool(found)
        if found and self._spec.privacy.mode == "drop":
            detail = f"It holds personal data ({', '.join(sorted(set(found)))}), and data.privacy.mode is drop."
            self._quarantine(chunk, "privacy", "personal data", detail, record)
            return None
        return clean

    def _encoded(self, record: Record, task: Task, chunk: Chunk) -> bool:
        rows = self._encoding.of(record, self._writer)
        if isinstance(rows, Unusable):
            self._quarantine(chunk, "template", rows.reason, rows.message, record)
            return False
        entries = tuple(packed(entry) for entry in rows.entries)
        tally = chunk.tally
        tally.usable_by_file[record.origin.file] += 1
        tally.num_lost += rows.num_targets - sum(entry.num_targets for entry in entries)
        if len(chunk.ready) < READ_BACK:
            tally.num_read_back += 1
            tally.num_unread += not self._writer.reads_back(rows.written.tokens_T, rows.written.text)
        tally.languages[script_of("\n".join(message["content"] for message in record.messages))] += 1
        chunk.ready.append(
            Ready(
                line=json_line(record_data(record)),
                digest=bytes.fromhex(record.digest[:32]),
                group=-1 if record.group is None else _number(record.group),
                answer=_number(record.answer),
                origin=record.origin,
                is_held_out=task.is_held_out,
                entries=entries,
            )
        )
        return True

    def _keep_back(self, chunk: Chunk, step: str, bad: Bad) -> None:
        """A row that never became a record."""
        shown = {"detail": self._masked_row(bad.message), "raw": self._masked_row(bad.raw)}
        chunk.tally.quarantined[step, bad.reason] += 1
        chunk.tally.show(
            (step, bad.reason), lambda: {"where": str(bad.origin), "text": shown["raw"][:EXCERPT], **shown}
        )
        chunk.quarantined.append({**asdict(bad.origin), "step": step, "reason": bad.reason, **shown})

    def _quarantine(self, chunk: Chunk, step: str, reason: str, detail: str, record: Record) -> None:
        """A record that is not used; personal data in it is masked, whatever the mode."""
        hidden = record.edited(self._masks)
        detail = self._masked_row(detail)
        chunk.tally.quarantined[step, reason] += 1
        example = {"where": str(record.origin), "detail": detail}
        chunk.tally.show((step, reason), lambda: {**example, "text": self._excerpt(record)})
        said = {key: value for key, value in record_data(hidden).items() if key != "origin"}
        chunk.quarantined.append({**asdict(record.origin), "step": step, "reason": reason, "detail": detail, **said})

    def _excerpt(self, record: Record) -> str:
        asked = f"{record.question} → " if record.question else ""
        return self._masked(asked + record.answer)[:EXCERPT]

    def _masked(self, text: str) -> str:
        return edited(text, self._masks(text))

    def _masked_row(self, text: str) -> str:
        """Masked, of a row that could not be read: what stands in it as JSON escapes is looked at as what it means, and
        what was cut off somewhere is cut off a little earlier, so that no half of a number is left."""
        if self._mask is None:
            return text
        plain = ESCAPE.sub(_unescaped, text)
        masked = self._masked(plain)
        return cut_earlier(masked) if len(text) >= SHOWN_CHARACTERS else cuts_earlier(masked)

    @cached_property
    def _mask(self) -> Deidentifier | None:
        privacy = self._spec.privacy
        if privacy == "off":
            return None
        return Deidentifier(PrivacySpec(mode="mask", kinds=privacy.kinds, allow=privacy.allow), None)

    def _masks(self, text: str) -> Sequence[Edit]:
        return self._mask.clean(text).edits if self._mask is not None else ()

    def _repaired(self, before: Record, after: Record) -> dict[str, Any]:
        return {"where": str(before.origin), "before": self._excerpt(before), "after": self._excerpt(after)}

    def _around(self, record: Record, text: str, one: Found) -> dict[str, Any]:
        """What stands around a find, with it and all others masked."""
        edits = self._masks(text)
        at = one.start + sum(len(e.replacement) - (e.end - e.start) for e in edits if e.end <= one.start)
        return {"where": str(record.origin), "text": edited(text, edits)[max(0, at - BESIDE) : at + BESIDE]}


def _unescaped(match: re.Match[str]) -> str:
    """What an escape of JSON means; of white space, a space."""
    if match[1]:
        character = chr(int(match[1], 16))
        return " " if "\ud800" <= character <= "\udfff" else character
    return match[2] if match[2] in '"/\\' else " "


def _number(text: str) -> int:
    """A number that stands for `text`: 63 bits, the same everywhere."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
