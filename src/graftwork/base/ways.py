"""Modules that go another way for a while: a `forward` of their own, put in and taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

from torch import nn

Ways = Mapping[nn.Module, Callable[..., Any]]


def put(ways: Ways) -> None:
    """Have each module go its way; what another has put there stays."""
    for module, way in ways.items():
        vars(module).setdefault("forward", way)


def take_off(ways: Ways) -> None:
    """Have each go its own way again."""
    for module, way in ways.items():
        if vars(module).get("forward") is way:
            del vars(module)["forward"]


@contextmanager
def gone(ways: Ways) -> Iterator[None]:
    """Inside, each module goes its way."""
    put(ways)
    try:
        yield
    finally:
        take_off(ways)


@cache
def has_numba() -> bool:
    """Whether loops can be compiled."""
    return find_spec("numba") is not None
