"""The two sides of an evaluation: the base, and what was trained, which may be an adapter on it or a whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.base.load import load_base
from graftwork.pipeline.model_folder import MODEL, read_model_card
from graftwork.pipeline.train import ADAPTER
from graftwork.pipeline.work import Work
from graftwork.serving.generate import answers

Prompt = Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Who answers: adapters of a bank, one on top of the other, or its base alone when there are none."""

    bank: AdapterBank
    row: tuple[Handle, ...] = ()

    def routed(self, num_rows: int) -> AbstractContextManager[object]:
        """A context in which so many rows are its own."""
        return self.bank.route([self.row] * num_rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """Base and what was trained; in between, what an adapter stands on, if it stands on any."""

    base: Side
    trained: Side
    below: Side | None = None

    def answers(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> tuple[list[str], list[str]]:
        """What base and trained say to each prompt; in one batch where one bank holds both."""
        if self.base.bank is not self.trained.bank:
            told = (answers(s.bank, prompts, [s.row] * len(prompts), max_new_tokens=max_new_tokens) for s in self.both)
            of_base, of_trained = told
            return of_base, of_trained
        rows = [self.base.row] * len(prompts) + [self.trained.row] * len(prompts)
        said = answers(self.base.bank, [*prompts, *prompts], rows, max_new_tokens=max_new_tokens)
        return said[: len(prompts)], said[len(prompts) :]

    @property
    def both(self) -> tuple[Side, Side]:
        """Base and trained."""
        return self.base, self.trained

    def close(self) -> None:
        """Take the adapters out of their banks."""
        for handle in self.trained.row:
            self.trained.bank.remove(handle)


def sides_of(work: Work) -> Sides:
    """What a run's evaluation compares.

    Raises:
        IntegrityError: what was trained is not what was written.
    """
    bank = AdapterBank(work.base)
    if work.spec.is_full:
        folder = work.folder.path / MODEL
        read_model_card(folder)
        spec = work.spec
        tuned = load_base(str(folder), dtype=spec.dtype, device=work.device, attention=spec.attention)
        return Sides(base=Side(bank=bank), trained=Side(bank=AdapterBank(tuned)))
    row = bank.load_standing(work.folder.path / ADAPTER)
    below = Side(bank=bank, row=row[:-1]) if len(row) > 1 else None
    return Sides(base=Side(bank=bank), trained=Side(bank=bank, row=row), below=below)
