"""Routes: which rows, or packed tokens, of a batch belong to which adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from itertools import accumulate, groupby
from math import ceil, prod
from typing import TYPE_CHECKING, Any, Literal, Protocol

from graftwork.adapters.drawn import generator
from graftwork.core.errors import WorkError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from graftwork.adapters.adapter import Adapter, Placed
    from graftwork.adapters.sites.answering import Answer
    from graftwork.adapters.sites.watched import Attention


class Elsewhere(Protocol):
    """Attention over keys and values that are kept elsewhere. Positions are told with the tokens."""

    def attend(self, name: str, call: Attention) -> tuple[Tensor, Tensor | None]:
        """What the attention module of a name gives for `call`, whose keys and values are those of this pass alone."""
        ...


class Table(Protocol):
    """Factors that lie ready for the tokens of a route."""

    def answer(self, place: str, x: Tensor, base: Tensor) -> Tensor:
        """The output of the linear layer at a place; `base`, which nobody else holds, may be changed."""
        ...


Unit = Literal["rows", "tokens"]
Owner = tuple["Adapter", ...]
"""The adapters that answer for a row, one on top of the other; none for the base alone."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Units `start` to `end` (rows or tokens) that the same adapters, or none, answer for."""

    start: int
    end: int
    owner: Owner


@dataclass(frozen=True, slots=True)
class Group:
    """Records of one owner in a packed row that never see each other: what all begin with, once, and then what each has
    of its own.

    Attributes:
        lengths: tokens of each record behind those that are shared; at least 1 each.
        shared: tokens in front that all the records see; 0 where each is whole.
    """

    lengths: tuple[int, ...]
    shared: int = 0

    @property
    def num_tokens(self) -> int:
        """In the row."""
        return self.shared + sum(self.lengths)


@dataclass(frozen=True, slots=True)
class Share:
    """Units `start` to `end` and what acts on them at one place, in order."""

    start: int
    end: int
    placed: tuple[Placed, ...]


class Route:
    """Contiguous segments over the units of a batch, and what each place has to do about them.

    It holds its adapters itself: one removed from the bank stays whole until the last route that uses it is gone.

    An expert of a list sees the tokens sent to it in an order of the model's own, so nobody can tell there whose they
    are: an adapter that acts at one needs a batch of its own.

    Attributes:
        groups: of a packed row the records that attention keeps apart, a segment each; None where the base sees to it.
        seeds: for each segment what its dropout is drawn from; None where it is drawn from torch's own state.
        scratch: what sites keep from one module of a forward pass to another, by their own names.
        answers: how linear layers are answered where no gradient is asked for, by place; see `sites.answering`.
        elsewhere: answers for attention, where keys and values are kept elsewhere; None where the base sees to them.
        table: answers at linear layers, where factors lie ready for it; None where they are taken from the adapters.

    Raises:
        WorkError: several owners, one of which needs a batch of its own.
    """

    def __init__(
        self,
        segments: Iterable[Segment],
        *,
        unit: Unit,
        training: bool,
        groups: tuple[Group, ...] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> None:
        self.segments = tuple(segments)
        self.unit = unit
        self.num_units = self.segments[-1].end if self.segments else 0
        self.training = training
        self.groups, self.seeds = groups, seeds
        self.elsewhere: Elsewhere | None = None
        self.table: Table | None = None
        self.scratch: dict[Any, Any] = {}
        self.answers: dict[str, Answer] = {}
        self._at: dict[str, tuple[Share, ...]] = {}
        self._gathered = frozenset[str]().union(*(a.gathered for s in self.segments for a in s.owner))
        if len(self.segments) > 1 and self._gathered:
            raise WorkError(
                f"{min(self._gathered)} is one of a list of experts and cannot tell whose tokens it sees. An adapter "
                "that acts there answers for a whole batch, or adapt other layers."
            )

    def at(self, place: str) -> tuple[Share, ...]:
        """What acts at `place`, over all units in order; empty when no adapter of this route does."""
        if place not in self._at:
            here = [Share(s.start, s.end, tuple(p for a in s.owner for p in a.at(place))) for s in self.segments]
            self._at[place] = tuple(here) if any(share.placed for share in here) else ()
        return self._at[place]

    def draw(self, segment: int, place: str, device: torch.device) -> torch.Generator | None:
        """What a segment's dropout at a place is drawn from; None for torch's own state."""
        return generator(self.seeds[segment], place, device) if self.seeds else None

    def tokens_per_unit(self, shape: Sequence[int], place: str) -> int:
        """How many tokens of this layer's input each unit has.

        Args:
            shape: of the input, features last. With two dimensions or fewer the rows lie one after another.

        Returns:
            Where the layer sees gathered tokens, all of one owner: enough to hold them all.

        Raises:
            WorkError: the batch has other rows, or other tokens, than the route.
        """
        num_tokens = prod(shape[:-1])
        if place in self._gathered:
            return ceil(num_tokens / self.num_units)
        per_unit, rest = divmod(num_tokens, self.num_units)
        rows_differ = self.unit == "rows" and len(shape) > 2 and not self._has_rows(shape)
        tokens_differ = self.unit == "tokens" and num_tokens != self.num_units
        if rest or not per_unit or rows_differ or tokens_differ:
            seen = f"{shape[0]} rows" if rows_differ else f"{num_tokens} tokens"
            raise WorkError(f"{place} saw {seen}, but the route has {self.num_units} {self.unit}.")
        return per_unit

    def _has_rows(self, shape: Sequence[int]) -> bool:
        """Whether the rows lie first; if all have one owner they may also be cut into windows, or lie second."""
        one_owner = len(self.segments) == 1
        return shape[0] == self.num_units or (
            one_owner and (shape[0] % self.num_units == 0 or self.num_units == shape[1])
        )


def segments(owners: Sequence[Owner], lengths: Sequence[int]) -> list[Segment]:
    """Segments for units that lie one after another, neighbours of the same owner joined.

    Args:
        owners: whose each piece is, in order.
        lengths: units in each piece, at least 1.
    """
    joined, start = [], 0
    pieces = zip(owners, lengths, strict=True)
    for _, group in groupby(pieces, key=lambda piece: tuple(map(id, piece[0]))):
        members = list(group)
        end = start + sum(length for _, length in members)
        joined.append(Segment(start, end, members[0][0]))
        start = end
    return joined


def apart(owners: Sequence[Owner], groups: Sequence[Group]) -> list[Segment]:
    """A segment for each group, also where neighbours have the same owner."""
    ends = list(accumulate(group.num_tokens for group in groups))
    return [Segment(start, end, owner) for start, end, owner in zip([0, *ends], ends, owners, strict=False)]


class Entered:
    """A context in which `route` is the one in force; it may be entered again, should backward run twice."""

    def __init__(
        self, variable: ContextVar[Route | None], route: Route | None, *, before: Callable[[], object] = lambda: None
    ) -> None:
        self._variable, self._route, self._before = variable, route, before
        self._tokens: list[Token[Route | None]] = []

    def __enter__(self) -> None:
        self._before()
        self._tokens.append(self._variable.set(self._route))

    def __exit__(self, *exception: object) -> None:
        self._variable.reset(self._tokens.pop())
