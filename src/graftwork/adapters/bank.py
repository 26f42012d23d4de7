"""The bank: any number of adapters on one frozen base at once; each row of a batch picks its own, or none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from torch import Tensor

from graftwork.adapters import files
from graftwork.adapters.adapter import Adapter, fresh
from graftwork.adapters.route import Route, Unit, segments
from graftwork.adapters.sites import linear_output, weight_OI
from graftwork.core.errors import IntegrityError, NotFoundError

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.hooks import RemovableHandle

    from graftwork.base.load import Base
    from graftwork.core.spec import Spec


@dataclass(frozen=True, slots=True)
class Handle:
    """Names one adapter in one bank; never used again for another."""

    number: int
    name: str


class AdapterBank:
    """Adapters on one base.

    The base's modules are hooked while an adapter needs them and untouched else. Nothing is global: which adapter
    acts is
    said by the route of the moment, in the thread that asked.

    >>> bank = AdapterBank(base)  # doctest: +SKIP
    >>> refunds = bank.load(Path("runs/refund-desk/adapter"))  # doctest: +SKIP
    >>> with bank.route([refunds, None]):  # doctest: +SKIP
    ...     logits_BTV = base.model(**batch).logits
    """

    def __init__(self, base: Base) -> None:
        self.base = base
        self._modules: dict[str, nn.Module] = dict(base.model.named_modules())
        self._adapters: dict[Handle, Adapter] = {}
        self._hooks: dict[str, RemovableHandle] = {}
        self._routes: tuple[Route, ...] = ()
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._route: ContextVar[Route | None] = ContextVar("route", default=None)

    def __len__(self) -> int:
        return len(self._adapters)

    def __contains__(self, handle: Handle) -> bool:
        return handle in self._adapters

    def __getitem__(self, handle: Handle) -> Adapter:
        if handle not in self._adapters:
            held = ", ".join(f"{h.name} ({h.number})" for h in self._adapters) or "none"
            raise NotFoundError(f"adapter {handle.name} ({handle.number}) is not in this bank. There are: {held}.")
        return self._adapters[handle]

    def fresh(self, spec: Spec, *, seed: int, name: str = "fresh") -> Handle:
        """Make a new adapter and put it in. Raises SpecError when a target matches nothing."""
        dtype = self.base.model.dtype
        trained = dtype if dtype.itemsize > 4 else None  # float32 masters, or float64 with a float64 base
        made = fresh(
            spec,
            self.base.facts,
            lambda place: weight_OI(self._modules[place]),
            seed=seed,
            device=self.base.device,
            **({"dtype": trained} if trained else {}),
        )
        return self.add(made, name=name)

    def load(self, folder: Path | str, *, name: str | None = None) -> Handle:
        """Read an adapter from `folder`, strictly, and put it in. Raises as `files.read_adapter` does."""
        adapter = files.read_adapter(Path(folder), self.base).adapter
        return self.add(adapter, name=name or Path(folder).name)

    def add(self, adapter: Adapter, *, name: str) -> Handle:
        """Put `adapter` in. Raises IntegrityError, and changes nothing, when the base has no such places."""
        places = self.base.facts.by_name
        if strange := [place for place, here in adapter.placed.items() if places.get(place) != here.place]:
            raise IntegrityError(
                f"adapter {name!r} belongs to another base: this one has no {strange[0]} of its shape."
            )
        handle = Handle(next(self._numbers), name)
        with self._lock:
            self._adapters = {**self._adapters, handle: adapter}
            self._hook_what_is_needed()
        return handle

    def remove(self, handle: Handle) -> None:
        """Take an adapter out. A route that holds it goes on with it, and no new one can be made."""
        with self._lock:
            self[handle]
            self._adapters = {h: a for h, a in self._adapters.items() if h != handle}
            self._hook_what_is_needed()

    def _hook_what_is_needed(self) -> None:
        """Hooks where an adapter of the bank, or of a route still held, acts; nowhere else. Called with the lock."""
        held = [segment.adapter for route in self._routes for segment in route.segments if segment.adapter]
        needed = {place for adapter in (*self._adapters.values(), *held) for place in adapter.placed}
        for place in needed - self._hooks.keys():
            hook = partial(self._after_linear, place)
            self._hooks[place] = self._modules[place].register_forward_hook(hook)
        for place in self._hooks.keys() - needed:
            self._hooks.pop(place).remove()

    @contextmanager
    def route(self, rows: Sequence[Handle | None], *, training: bool = False) -> Iterator[Route]:
        """Inside, row b of every batch is answered by `rows[b]`; None is the base alone.

        Stay inside until backward has run: gradient checkpointing runs the forward pass again.
        """
        with self._routed(rows, [1] * len(rows), unit="rows", training=training) as route:
            yield route

    @contextmanager
    def route_tokens(self, pieces: Sequence[tuple[Handle | None, int]], *, training: bool = False) -> Iterator[Route]:
        """As `route`, for one packed row: pieces of (adapter, tokens) that lie one after another."""
        handles, lengths = [h for h, _ in pieces], [n for _, n in pieces]
        with self._routed(handles, lengths, unit="tokens", training=training) as route:
            yield route

    def recompute_contexts(self) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """Contexts for a checkpointed forward pass and for its recomputation, which may run in another thread."""
        return nullcontext(), _Entered(self._route, self._route.get())

    @contextmanager
    def _routed(
        self, rows: Sequence[Handle | None], lengths: list[int], *, unit: Unit, training: bool
    ) -> Iterator[Route]:
        with self._lock:
            owners = [None if handle is None else self[handle] for handle in rows]
            route = Route(segments(owners, lengths), unit=unit, training=training)
            self._routes = (*self._routes, route)
        try:
            with _Entered(self._route, route):
                yield route
        finally:
            with self._lock:
                self._routes = tuple(other for other in self._routes if other is not route)
                if not all(handle is None or handle in self._adapters for handle in rows):
                    self._hook_what_is_needed()

    def _after_linear(self, place: str, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        route = self._route.get()
        if route is None:
            return output
        return linear_output(route, place, module, args[0], output)


class _Entered:
    """A context in which `route` is the one in force; it may be entered again, should backward run twice."""

    def __init__(self, variable: ContextVar[Route | None], route: Route | None) -> None:
        self._variable, self._route = variable, route
        self._tokens: list[Token[Route | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(self._variable.set(self._route))

    def __exit__(self, *exception: object) -> None:
        self._variable.reset(self._tokens.pop())
