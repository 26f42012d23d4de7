"""Everything that the endpoints work on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from graftwork.base.template import ChatFormat
from graftwork.registry.access.roles import Permission, Principal
from graftwork.registry.state import Registry
from graftwork.serving.http.draining import Service
from graftwork.serving.http.seams import (
    Guard,
    Limits,
    NoGuard,
    NoLimits,
    NoReceipts,
    NoWatcher,
    Receipts,
    ServedModels,
    Watcher,
)
from graftwork.serving.http.text.characters import TokenTexts
from graftwork.serving.interface import Engine
from graftwork.serving.spec import ServeSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """How the base writes and reads.

    Attributes:
        num_tokens: tokens that its logits are over.
        context_tokens: most tokens of prompt and answer; None when its config sets no limit.
    """

    chat: ChatFormat
    texts: TokenTexts
    num_tokens: int
    context_tokens: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A server without its face.

    Attributes:
        clock: seconds since 1970.
        metrics: what Prometheus reads; None where nothing is counted.
    """

    spec: ServeSpec
    speech: Speech
    engine: Engine
    models: ServedModels
    registry: Registry
    service: Service = field(default_factory=Service)
    guard: Guard = field(default_factory=NoGuard)
    limits: Limits = field(default_factory=NoLimits)
    watcher: Watcher = field(default_factory=NoWatcher)
    receipts: Receipts = field(default_factory=NoReceipts)
    metrics: Callable[[], bytes] | None = None
    clock: Callable[[], float] = time.time


def parts_of(request: Request) -> Parts:
    """The server that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


def holder(request: Request, permission: Permission) -> Principal:
    """Whoever asks. Raises DeniedError unless they have the permission."""
    who: Principal = request.state.who
    who.refuse_unless(permission)
    return who
