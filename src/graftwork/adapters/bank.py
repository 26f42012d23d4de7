"""The bank: any number of adapters on one frozen base at once; each row of a batch picks its own, or none."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import torch

from graftwork.adapters import files
from graftwork.adapters.adapter import Adapter, fresh
from graftwork.adapters.budget import Kept, to_evict
from graftwork.adapters.form import Memo
from graftwork.adapters.route import Entered, Group, Owner, Route, apart, segments
from graftwork.adapters.sites import HOOKS
from graftwork.adapters.sites.frozen import FrozenModule, hooked
from graftwork.adapters.sites.groups import kept_apart, refuse_unless_apart
from graftwork.adapters.standing import standing
from graftwork.adapters.versions import watch_optimizers
from graftwork.base.facts import same_input
from graftwork.base.load import Base
from graftwork.core.errors import IntegrityError, NotFoundError, Problem, SpecError, WorkError
from graftwork.core.heap import Heap

if TYPE_CHECKING:
    from torch import nn

    from graftwork.adapters.sites.hook import Removable
    from graftwork.base.any_model import Host
    from graftwork.base.facts import Place
    from graftwork.core.spec import Spec


@dataclass(frozen=True, slots=True)
class Handle:
    """Names one adapter in one bank; never used again for another."""

    number: int
    name: str


R = TypeVar("R", bound=Route)
Row = Handle | Sequence[Handle] | None
"""Whose a row is: one adapter's; several, one on top of the other; or the base's alone."""


class AdapterBank:
    """Adapters on one base.

    Attributes:
        budget_bytes: most bytes of tensors that it holds; None for no limit. To put one more in, the least recently
            routed leave that no route holds and nobody pinned.
        evicted: those that left so, in order. Whoever keeps watch takes them off the list.
        last_of: by the module that holds an MLP, the name of its last layer.
        made_again: by that layer, whether its input can be made again bit for bit; see `sites.inner`.
        apart_problems: why packed records cannot be kept apart here; None before that was looked at.

    The base's modules are hooked while an adapter needs them and untouched else. Nothing is global: which adapter acts
    is said by the route of the moment, in the thread that asked.

    >>> bank = AdapterBank(base)  # doctest: +SKIP
    >>> refunds = bank.load(Path("runs/refund-desk/adapter"))  # doctest: +SKIP
    >>> with bank.route([refunds, None]):  # doctest: +SKIP
    ...     logits_BTV = base.model(**batch).logits
    """

    def __init__(self, base: Host, *, budget_bytes: int | None = None) -> None:
        watch_optimizers()
        self.host, self.budget_bytes = base, budget_bytes
        self.evicted: list[Handle] = []
        self.made_again: dict[str, bool] = {}
        self.apart_problems: tuple[Problem, ...] | None = None
        self.last_of = {p.name.rpartition(".")[0]: p.name for p in base.facts.places if p.role == "mlp.down"}
        self._modules: dict[str, nn.Module] = dict(base.model.named_modules())
        self._frozen: dict[Place, FrozenModule] = {}
        self._beside: dict[str, tuple[FrozenModule, ...]] = {}
        self._adapters: dict[Handle, Adapter] = {}
        self._bytes: dict[Handle, int] = {}  # the least recently routed first
        self._pinned: set[Handle] = set()
        self._memos: WeakKeyDictionary[Adapter, Memo] = WeakKeyDictionary()
        self._recomputing = [module for module in base.model.modules() if hasattr(module, "gradient_checkpointing")]
        self._holders: Counter[Adapter] = Counter()
        self._needed: Counter[tuple[str, str]] = Counter()
        self._hooks: dict[tuple[str, str], Sequence[Removable]] = {}
        self._lock = Lock()
        self._numbers, self._heap = itertools.count(1), Heap()
        self._route: ContextVar[Route | None] = ContextVar("route", default=None)

    @property
    def base(self) -> Base:
        """The base, where it is a language model with a tokenizer. Raises SpecError where it is any other."""
        if not isinstance(self.host, Base):
            expected = "a language model loaded with its tokenizer"
            raise SpecError([Problem("base", self.host.ref, expected, "Any other model is at `bank.host`.")])
        return self.host

    def __len__(self) -> int:
        return len(self._adapters)

    def __contains__(self, handle: Handle) -> bool:
        return handle in self._adapters

    def __getitem__(self, handle: Handle) -> Adapter:
        if handle not in self._adapters:
            if handle in self.evicted:
                raise NotFoundError(
                    f"adapter {handle.name} ({handle.number}) was evicted to make room for another. Put it in again."
                )
            held = ", ".join(f"{h.name} ({h.number})" for h in self._adapters) or "none"
            raise NotFoundError(f"adapter {handle.name} ({handle.number}) is not in this bank. There are: {held}.")
        return self._adapters[handle]

    def module(self, name: str) -> nn.Module:
        """A module of the base."""
        return self._modules[name]

    def frozen(self, place: Place) -> FrozenModule:
        """What of the base stands at a place."""
        if place not in self._frozen:
            self._frozen[place] = FrozenModule(place, self._modules[hooked(place)])
        return self._frozen[place]

    def beside(self, place: Place) -> tuple[FrozenModule, ...]:
        """The linear layers that usually see the same input as the one at `place`, itself among them."""
        if place.name not in self._beside:
            for places in same_input(self.host.facts.places):
                together = tuple(map(self.frozen, places))
                self._beside.update((one.name, together) for one in places)
        return self._beside[place.name]

    def memo(self, adapter: Adapter) -> Memo:
        """Values computed from an adapter and this bank's base."""
        return self._memos.setdefault(adapter, Memo())

    def route_now(self) -> Route | None:
        """The route in force in this thread."""
        return self._route.get()

    def fresh(self, spec: Spec, *, seed: int, name: str = "fresh") -> Handle:
        """Make a new adapter and put it in. Raises SpecError when a target matches nothing."""
        dtype = self.host.model.dtype
        trained = dtype if dtype.itemsize > 4 else None  # float32 masters, or float64 with a float64 base
        made = fresh(
            spec,
            self.host.facts,
            self.frozen,
            seed=seed,
            device=self.host.device,
            **({"dtype": trained} if trained else {}),
        )
        return self.add(made, name=name)

    def load(self, folder: Path | str, *, name: str | None = None) -> Handle:
        """Read an adapter from `folder`, strictly, and put it in. Raises as `files.read_adapter` does."""
        adapter = files.read_adapter(Path(folder), self.host).adapter
        return self.add(adapter, name=name or Path(folder).name)

    def load_standing(self, folder: Path | str) -> tuple[Handle, ...]:
        """Read the adapter in `folder` and all that it stands on, the lowest first: a row for `route`. Raises as
        `standing` and `load` do."""
        return tuple(self.load(one.folder) for one in standing(Path(folder)))

    def add(self, adapter: Adapter, *, name: str) -> Handle:
        """Put `adapter` in, or change nothing.

        Raises:
            IntegrityError: the base has no such places.
            SpecError: the base computes in a way that a method cannot act on.
            CapacityError: there is no room for it, and none can be made.
        """
        facts = self.host.facts
        known = {site: set(facts.at(site)) for site in {here.method.site for here in adapter.placed.values()}}
        if strange := [h.place.name for h in adapter.placed.values() if h.place not in known[h.method.site]]:
            raise IntegrityError(
                f"adapter {name!r} belongs to another base: this one has no {strange[0]} of its shape."
            )
        found = (p for h in adapter.placed.values() for kind in h.hooks for p in HOOKS[kind].problems(self, h))
        if problems := list(dict.fromkeys(found)):
            raise SpecError(problems)
        handle, needed_bytes = Handle(next(self._numbers), name), adapter.num_bytes
        with self._lock:
            if adapter not in self._adapters.values():  # under one more name it needs no more room
                self._make_room(needed_bytes)
            self._adapters = {**self._adapters, handle: adapter}
            self._bytes[handle] = needed_bytes
            self._hold(adapter)
        return handle

    def pin(self, handle: Handle) -> None:
        """Never evict it until it is unpinned."""
        with self._lock:
            self[handle]
            self._pinned.add(handle)

    def unpin(self, handle: Handle) -> None:
        """Let it be evicted again."""
        with self._lock:
            self._pinned.discard(handle)

    def _make_room(self, needed_bytes: int) -> None:
        """Evict what must leave, or raise CapacityError and change nothing. Called with the lock."""
        if self.budget_bytes is None:
            return
        names: dict[Adapter, list[Handle]] = {}
        for handle in self._bytes:
            adapter = self._adapters[handle]
            names[adapter] = [*names.pop(adapter, []), handle]  # to the end: its most recently routed name counts
        kept = [
            Kept(
                handle=handles,
                num_bytes=self._bytes[handles[0]],
                is_free_to_go=self._pinned.isdisjoint(handles) and self._holders[adapter] == len(handles),
            )
            for adapter, handles in names.items()
        ]
        leaving = to_evict(needed_bytes, self.budget_bytes, kept)
        for handle in itertools.chain.from_iterable(leaving):
            self._take_out(handle)
            self.evicted.append(handle)

    def remove(self, handle: Handle) -> None:
        """Take an adapter out. A route that holds it goes on with it, and no new one can be made."""
        with self._lock:
            self._take_out(handle)

    def _take_out(self, handle: Handle) -> None:
        """Called with the lock."""
        adapter = self[handle]
        self._adapters = {h: a for h, a in self._adapters.items() if h != handle}
        del self._bytes[handle]
        self._pinned.discard(handle)
        self._let_go(adapter)

    def _hold(self, adapter: Adapter) -> None:
        """One more that needs `adapter`: the bank, or a route. Called with the lock."""
        self._holders[adapter] += 1
        if self._holders[adapter] > 1:
            return
        before = len(self._hooks)
        for here in adapter.placed.values():
            for kind in here.hooks:
                key = kind, hooked(here.place)
                self._needed[key] += 1
                if self._needed[key] == 1:
                    self._hooks[key] = HOOKS[kind].attach(self, here.place)
        if len(self._hooks) > before:
            _forget_what_is_compiled()

    def _let_go(self, adapter: Adapter) -> None:
        """One fewer; when it was the last, hooks that no other adapter needs are gone. Called with the lock."""
        self._holders[adapter] -= 1
        if self._holders[adapter]:
            return
        del self._holders[adapter]
        for here in adapter.placed.values():
            for kind in here.hooks:
                key = kind, hooked(here.place)
                self._needed[key] -= 1
                if not self._needed[key]:
                    del self._needed[key]
                    for hook in self._hooks.pop(key):
                        hook.remove()

    @contextmanager
    def route(
        self, rows: Sequence[Row], *, training: bool = False, seeds: Sequence[int] | None = None
    ) -> Iterator[Route]:
        """Inside, row b of every batch is answered by `rows[b]`; None is the base alone.

        It holds in this thread alone; one that is started inside enters its own. Stay inside until backward has run:
        gradient checkpointing runs the forward pass again.

        Args:
            seeds: for each stretch of rows with the same adapters, what their dropout is drawn from. Without, it is
                drawn from torch's own state.

        Raises:
            NotFoundError: an adapter is not in this bank.
            WorkError: the base recomputes activations in a way that would lose the route.
        """

        def made(owners: Sequence[Owner]) -> Route:
            cut = segments(owners, [1] * len(rows))
            return Route(cut, unit="rows", training=training, seeds=seeds)

        with self.routed(rows, made) as route:
            yield route

    @contextmanager
    def route_tokens(self, pieces: Sequence[tuple[Row, int]], *, training: bool = False) -> Iterator[Route]:
        """As `route`, for one packed row: pieces of (adapter, tokens) that lie one after another.

        Raises:
            WorkError: a piece has no tokens.
        """
        handles, lengths = [h for h, _ in pieces], [n for _, n in pieces]
        for number, length in enumerate(lengths):
            if length < 1:
                raise WorkError(f"piece {number} of the packed row has {length} tokens; each needs at least 1.")

        def made(owners: Sequence[Owner]) -> Route:
            return Route(segments(owners, lengths), unit="tokens", training=training)

        with self.routed(handles, made) as route:
            yield route

    @contextmanager
    def route_groups(
        self, groups: Sequence[tuple[Row, Group]], *, training: bool = False, seeds: Sequence[int] | None = None
    ) -> Iterator[Route]:
        """As `route`, for one packed row: groups of records, one after another, whose records never see each other.
        Positions are to begin at 0 in each record; where records share what they begin with, behind that.

        Args:
            seeds: for each group what its adapters' dropout is drawn from. Without, it is drawn from torch's own state.

        Raises:
            SpecError: the base computes attention in a way that cannot be cut; see `groups_problems`.
            WorkError: a record has no tokens.
        """
        refuse_unless_apart(self)
        if any(min(group.lengths) < 1 for _, group in groups):
            raise WorkError("a record of the packed row has no tokens.")
        rows, cut = [row for row, _ in groups], tuple(group for _, group in groups)

        def made(owners: Sequence[Owner]) -> Route:
            return Route(apart(owners, cut), unit="tokens", training=training, groups=cut, seeds=seeds)

        with kept_apart(self), self.routed(rows, made) as route:
            yield route

    def recompute_contexts(self) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """Contexts for a checkpointed forward pass and for its recomputation, which may run in another thread."""
        self._heap.tidy()  # before each layer: else one large pass leaves more holes than recomputing saves
        return nullcontext(), Entered(self._route, self._route.get(), before=self._heap.tidy)

    @contextmanager
    def entered(self, route: Route) -> Iterator[None]:
        """Inside, `route` is in force: for sites that let the base answer for themselves."""
        with Entered(self._route, route):
            yield

    @contextmanager
    def routed(self, rows: Sequence[Row], made: Callable[[Sequence[Owner]], R]) -> Iterator[R]:
        """As `route`, with what `made` makes of the rows' owners. Raises NotFoundError."""
        with self._lock:
            owners = [self._owner(row) for row in rows]
            for handle in {handle: None for row in rows for handle in _handles(row)}:
                self._bytes[handle] = self._bytes.pop(handle)  # to the end: the most recently routed
            route = made(owners)
            held = {adapter: None for owner in owners for adapter in owner}
            if held and torch.is_grad_enabled():
                self._refuse_to_lose_routes()
            for adapter in held:
                self._hold(adapter)
        try:
            with Entered(self._route, route):
                yield route
        finally:
            with self._lock:
                for adapter in held:
                    self._let_go(adapter)

    def _refuse_to_lose_routes(self) -> None:
        """Recomputed layers that are not told the route give gradients of other adapters, or of none."""
        for module in self._recomputing:
            if not (module.gradient_checkpointing and module.training):
                continue
            told = getattr(getattr(module, "_gradient_checkpointing_func", None), "keywords", {})
            if told.get("use_reentrant") is not False or told.get("context_fn") != self.recompute_contexts:
                raise WorkError(
                    "the base recomputes its activations without the route, and gradients would be wrong. Use "
                    "graftwork.training.memory.checkpoint_activations(bank), or training.gradient_checkpointing: true."
                )

    def _owner(self, row: Row) -> Owner:
        return tuple(self[handle] for handle in _handles(row))


def _handles(row: Row) -> tuple[Handle, ...]:
    if row is None:
        return ()
    return (row,) if isinstance(row, Handle) else tuple(row)


def _forget_what_is_compiled() -> None:
    """Have a base that `torch.compile` has traced traced again: it looks at the hooks of that moment alone, and would
    pass over those that came later without a word."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
