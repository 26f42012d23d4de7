"""What the steps of one run share: the request, its folder, and the base, loaded once and only when a step needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.adapters.asked import positions_in_front
from graftwork.base.fingerprint import Fingerprint, fingerprint
from graftwork.base.locate import locate
from graftwork.core.errors import IntegrityError, Interrupted, Problem, SpecError
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.hub import at_commit
from graftwork.data.store import TokenStore
from graftwork.data.written import record_from
from graftwork.pipeline.below import found_below, positions_below
from graftwork.pipeline.crew import SOLO, Crew
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.spec import RunSpec

if TYPE_CHECKING:
    from graftwork.adapters.standing import Standing
    from graftwork.base.load import Base
    from graftwork.base.template import ChatFormat
    from graftwork.pipeline.watch import Watch


@dataclass(frozen=True)
class Work:
    """One run at work.

    Attributes:
        workers: processes that prepare data; None for as many as pay. The result is the same for any number.
        crew: who does the heavy steps; the result is the same for any.
        at_hand: the base as the request wants it, if whoever asks has it in memory; it is loaded otherwise.
    """

    spec: RunSpec
    folder: RunFolder
    watch: Watch
    device: str = "cpu"
    workers: int | None = None
    crew: Crew = SOLO
    at_hand: Base | None = None

    def stop_if_asked(self, done: str) -> None:
        """Raise Interrupted when whoever watches wants the run to stop; `done` says how far it is."""
        if self.watch.should_stop():
            raise Interrupted(f"stopped: {done}. The same command goes on with what is finished.")

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
        """The longest input of the base behind what its adapters put in front of it; None when it has no limit.

        Raises:
            SpecError: they leave no room for a token.
        """
        from graftwork.base.load import context_tokens

        whole = context_tokens(self.base_folder)
        in_front = positions_in_front(self.spec.adapter) + self._positions_below
        if whole is not None and in_front >= whole:
            raise SpecError([Problem("adapter.positions", in_front, f"less than the base's context of {whole}")])
        return whole if whole is None else whole - in_front

    @cached_property
    def below(self) -> tuple[Standing, ...]:
        """The finished adapters that this run's own one stands on, the lowest first. Raises as `found_below`."""
        return found_below(self)

    @property
    def _positions_below(self) -> int:
        try:
            return positions_below(self.below)
        except SpecError:  # the check says what is wrong with them
            return 0

    @cached_property
    def sources(self) -> tuple[SourceSpec, ...]:
        """Training sources, then those of held-out records; of the hub's, the commit that is read."""
        return tuple(map(at_commit, (*self.spec.data.sources, *self.spec.data.held_out_sources)))

    @property
    def max_tokens(self) -> int:
        """The longest record that can be used: as asked for, and within the base's context."""
        return min(self.spec.data.max_tokens, self.context_tokens or self.spec.data.max_tokens)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What identifies the base."""
        return fingerprint(self.base_folder)

    @property
    def in_memory(self) -> Base | None:
        """The base, if it is in memory already."""
        found: Base | None = vars(self).get("base", self.at_hand)
        return found

    @cached_property
    def base(self) -> Base:
        """The base in memory."""
        from graftwork.base.load import load_base

        spec = self.spec
        if self.at_hand is not None and self.at_hand.fingerprint == self.fingerprint:
            return self.at_hand
        bits = "" if spec.quantised == "off" else f", {spec.quantised}"
        self.watch.say(f"loading {spec.base} ({spec.dtype}{bits})")
        loaded = load_base(
            str(self.base_folder),
            dtype=spec.dtype,
            device="cpu" if self.crew.shards else self.device,
            attention=spec.attention,
            quantised=spec.quantised,
        )
        if loaded.fingerprint != self.fingerprint:
            raise IntegrityError(f"{self.base_folder} changed while it was being read.")
        if self.crew.shards:
            import torch

            from graftwork.base.sharded import shard

            loaded.between.look()
            shard(loaded.model, torch.device(self.device))
        return loaded.called(spec.base)


def prepared_records(path: Path) -> Iterator[Record]:
    """The records that `prepare` wrote, one by one."""
    with path.open("rb") as lines:
        for line in lines:
            yield record_from(json.loads(line))


def prepared_tokens(work: Work, name: str, summary: Mapping[str, Any]) -> TokenStore:
    """The rows of tokens that `prepare` wrote for the side `name`."""
    return TokenStore(work.folder.path / "data" / name, summary[name]["files"])
