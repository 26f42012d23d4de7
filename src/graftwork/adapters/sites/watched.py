"""Attention in which a bank may have a say: a stand-in for the config of an attention module.

An attention module of `transformers` looks up, by a name in its config, the function that computes its attention. While
a bank needs it, the module's config is a stand-in that tells all as the real one does, but for that name: in the thread
where a listener acts it is ours. Nothing global is changed, other models and threads do not notice, a copy of the model
has the real config, and when the last listener leaves so has the module.

Legend: B rows, T tokens, S keys, H heads of queries, K heads of keys, D head size.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

from graftwork.core.errors import WorkError

if TYPE_CHECKING:
    from torch import Tensor, nn

OURS = "graftwork"
KNOWN = ("sdpa", "eager")
"""Attention that takes keys and masks of any shape."""

Answer = tuple["Tensor", "Tensor | None"]
"""Output_BTHD, and the weights where the attention gives them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """One call for attention.

    Attributes:
        mask: bool (sdpa) or added to the scores (eager), (B or 1, H or 1, T, S); None if none is needed.
        options: all else that the module says.
        plain: computes it as the base does.
        mask_is_added: to the scores, as `eager` does; else it is bool.
        causal_if_unmasked: what no mask means: that no token sees a later one, or that each sees all.
    """

    module: nn.Module
    query_BHTD: Tensor
    key_BKSD: Tensor
    value_BKSD: Tensor
    mask: Tensor | None
    options: Mapping[str, Any]
    plain: Callable[..., Answer]
    causal_if_unmasked: bool
    mask_is_added: bool

    def answered(self) -> Answer:
        """What the base's own attention gives for it."""
        return self.plain(self.module, self.query_BHTD, self.key_BKSD, self.value_BKSD, self.mask, **dict(self.options))


class Listener(Protocol):
    """Who may have a say in the attention of a module."""

    def acts(self) -> bool:
        """Whether it has, at this moment in this thread."""
        ...

    def attend(self, call: Attention) -> Answer:
        """What it makes of a call."""
        ...


class Watched:
    """Stands for the config of one attention module."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.listeners: tuple[Listener, ...] = ()

    @property
    def _attn_implementation(self) -> str:
        ours = any(listener.acts() for listener in self.listeners)
        return OURS if ours else str(self.original._attn_implementation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.original, memo)


_SWAPPING = Lock()
"""Two banks may share a base: one at a time puts stand-ins in or takes them out."""


def listeners_at(module: nn.Module) -> tuple[Listener, ...]:
    """Who has a say in the attention of `module`."""
    config: Any = module.config
    return config.listeners if isinstance(config, Watched) else ()


def watch(module: nn.Module, listener: Listener) -> None:
    """Let `listener` have a say in the attention of `module`, until `unwatch`."""
    with _SWAPPING:
        config: Any = module.config
        if not isinstance(config, Watched):
            config = Watched(config)
            module.config = config
        config.listeners = (*config.listeners, listener)


def unwatch(module: nn.Module, listener: Listener) -> None:
    """Undo `watch`."""
    with _SWAPPING:
        watched: Any = module.config
        watched.listeners = tuple(other for other in watched.listeners if other is not listener)
        if not watched.listeners:
            module.config = watched.original


def asks_by_name(module: nn.Module) -> bool:
    """Whether `module` looks its attention up by name, and does nothing else that depends on that name."""
    if not hasattr(module, "config"):
        return False
    code = inspect.unwrap(type(module).forward).__code__
    told = {c for const in code.co_consts for c in (const if isinstance(const, tuple) else (const,))}
    own_way = "sdpa" in told or getattr(module, "reorder_and_upcast_attn", False)
    return "get_interface" in code.co_names and not own_way


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> Answer:
    """What the library calls under our name; its own names for the arguments."""
    watched: Watched = module.config
    kind: str = watched.original._attn_implementation
    acting = [listener for listener in watched.listeners if listener.acts()]
    if len(acting) != 1 or kind not in KNOWN:
        reason = f"attention is computed by {kind}" if kind not in KNOWN else "two banks put something in front"
        raise WorkError(f"{reason}; a prefix or soft prompt needs {' or '.join(KNOWN)}, and one bank at a time.")
    eager = inspect.unwrap(type(module).forward).__globals__.get("eager_attention_forward")
    call = Attention(
        module=module,
        query_BHTD=query,
        key_BKSD=key,
        value_BKSD=value,
        mask=attention_mask,
        options=options,
        plain=ALL_ATTENTION_FUNCTIONS.get_interface(kind, eager),
        mask_is_added=kind == "eager",
        causal_if_unmasked=kind == "sdpa" and bool(options.get("is_causal", getattr(module, "is_causal", True))),
    )
    return acting[0].attend(call)


AttentionInterface.register(OURS, _attention)
