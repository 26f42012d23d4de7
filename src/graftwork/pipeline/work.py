"""What the steps of one run share: the request, its folder, and the base, loaded once and only when a step needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.base.fingerprint import Fingerprint, fingerprint
from graftwork.base.locate import locate
from graftwork.core.errors import IntegrityError, Interrupted
from graftwork.core.files import write_jsonl
from graftwork.data.records import Origin, Record
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.spec import RunSpec

if TYPE_CHECKING:
    from graftwork.base.load import Base
    from graftwork.base.template import ChatFormat
    from graftwork.pipeline.watch import Watch


@dataclass(frozen=True)
class Work:
    """One run at work."""

    spec: RunSpec
    folder: RunFolder
    watch: Watch
    device: str = "cpu"

    def stop_if_asked(self, done: str) -> None:
        """Raise Interrupted when whoever watches wants the run to stop; `done` says how far it is."""
        if self.watch.should_stop():
            raise Interrupted(f"stopped: {done}. The same command goes on from there.")

    @cached_property
    def base_folder(self) -> Path:
        """Where the base lies; fetched if it has to be."""
        return locate(self.spec.base, say=self.watch.say)

    @cached_property
    def chat(self) -> ChatFormat:
        """How the base writes conversations."""
        from graftwork.base.load import load_chat

        return load_chat(self.base_folder)

    @cached_property
    def context_tokens(self) -> int | None:
        """The longest input of the base; None when it has no limit."""
        from graftwork.base.load import context_tokens

        return context_tokens(self.base_folder)

    @property
    def max_tokens(self) -> int:
        """The longest record that can be used: as asked for, and within the base's context."""
        return min(self.spec.data.max_tokens, self.context_tokens or self.spec.data.max_tokens)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What identifies the base."""
        return fingerprint(self.base_folder)

    @cached_property
    def base(self) -> Base:
        """The base in memory."""
        from graftwork.base.load import load_base

        spec = self.spec
        self.watch.say(f"loading {spec.base} ({spec.dtype})")
        loaded = load_base(str(self.base_folder), dtype=spec.dtype, device=self.device)
        if loaded.fingerprint != self.fingerprint:
            raise IntegrityError(f"{self.base_folder} changed while it was being read.")
        return loaded.called(spec.base)


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Records as the following steps read them."""
    rows = ({"messages": [dict(m) for m in r.messages], "origin": asdict(r.origin)} for r in records)
    write_jsonl(path, rows)


def read_prepared(path: Path) -> list[Record]:
    """What `write_records` wrote."""
    import json

    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    return [Record(tuple(row["messages"]), Origin(**row["origin"])) for row in rows]
