"""What one adapter's training is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from graftwork.base.head import nats_of_states
from graftwork.training.team import ALONE, Team

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.base.head import Halves
    from graftwork.data.batches import Mixture
    from graftwork.data.encode import Encoded
    from graftwork.training.averaging import Averages
    from graftwork.training.evolving import Evolving
    from graftwork.training.scaling import LossScale
    from graftwork.training.spec import TrainSpec

Loss = Callable[["Halves", "Tensor", "Tensor"], "Tensor"]
"""Summed nats of targets, from the head, the states_PH that predict them and targets_P."""

INNER = ("mlp.down", "experts.down")
"""The layers that see what an activation gave."""

VECTORS = 64
"""Numbers in one turn of torch's loops on a CPU: two vectors of 512 bits, of 16 bits each."""

Layout = Literal["groups", "rows", "packed"]
"""How records lie in a forward pass: end to end, attention to each by itself; a row each; end to end as the base
packs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One adapter's training.

    Attributes:
        params: the adapter's tensors by name, leaves that ask for gradients.
        records: what it learns from.
        lengths: tokens of each record.
        mixture: how often each source is seen.
        first_step: steps already done.
        evolving: what happens to the adapter between steps.
        below: what it stands on, the lowest first; not trained.
        loss: what predictions cost.
        averages: over the steps; what is written in the end.
        scale: of the loss, for a base in float16.
        team: who shares the work of a step.
    """

    bank: AdapterBank
    handle: Handle
    split: Halves
    params: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    records: Sequence[Encoded]
    lengths: Sequence[int]
    mixture: Mixture
    spec: TrainSpec
    num_steps: int
    first_step: int = 0
    evolving: tuple[Evolving, ...] = ()
    below: tuple[Handle, ...] = ()
    loss: Loss = nats_of_states
    averages: Averages | None = None
    scale: LossScale | None = None
    team: Team = ALONE
    layout: Layout = "rows"

    @property
    def row(self) -> tuple[Handle, ...]:
        """Whose its records are: the adapter, behind all that it stands on."""
        return (*self.below, self.handle)

    @property
    def has_dropout(self) -> bool:
        """Whether anything of what it trains or stands on drops out."""
        placed = [here for handle in self.row for here in self.bank[handle].placed.values()]
        return any(getattr(here.spec, "dropout", 0.0) for here in placed)

    @property
    def joins(self) -> bool:
        """Whether its records can lie in one row with those of other jobs."""
        is_free = self.scale is None and self.team is ALONE
        return self.layout == "groups" and is_free and rows_keep_their_bits(self.bank)


def rows_keep_their_bits(bank: AdapterBank) -> bool:
    """Whether a row of the base's activations has the same bits wherever it stands among others.

    torch computes what is left over at the end of a tensor by other instructions than whole vectors, and where a
    function is no exact operation (the activation of an MLP) their last bits differ. So each row must be whole vectors.
    """
    return all(p.in_features % VECTORS == 0 for p in bank.host.facts.places if p.role in INNER)


def layout_of(bank: AdapterBank, spec: TrainSpec) -> Layout:
    """How records are to lie: as asked for, and by default in groups where the base can keep them apart."""
    from graftwork.adapters.sites.groups import groups_problems

    told = spec.packing if isinstance(spec.packing, str) else "rows of tokens"
    if told == "off":
        return "rows"
    if not groups_problems(bank) and bank.host.device.type == "cpu":
        return "groups"
    return "rows" if told == "auto" else "packed"
