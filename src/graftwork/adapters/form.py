"""What an adapter does to a frozen linear layer, in one form for all methods.

    y = gain * (W (input_gain * x) + scale * up (down x)) + bias

Every method at linear layers says its `LinearForm`; how it is computed for a whole batch, merged into a plain weight or
written as another tool's LoRA follows from the form and is written once.

Legend: I in features, O out features, R rank, E experts (a leading dimension where the layer is a layer of experts).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.base.facts import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearForm:
    """A linear layer as an adapter changes it. What is None changes nothing.

    Attributes:
        down_RI: with `up_OR`, the low-rank update; for experts down_ERI and up_EOR.
        scale: what the update is multiplied by.
        gain_O: what each output is multiplied by, update included.
        gains_bias: whether the layer's own bias is multiplied too (IA3), or left as it is (DoRA).
        input_gain_I: what each input of the frozen weight is multiplied by.
        dropout: share of the update's inputs zeroed while training.
    """

    down_RI: Tensor | None = None
    up_OR: Tensor | None = None
    scale: float = 1.0
    gain_O: Tensor | None = None
    gains_bias: bool = False
    input_gain_I: Tensor | None = None
    dropout: float = 0.0


class Frozen(Protocol):
    """What a method may know of the frozen layer at its place."""

    @property
    def place(self) -> Place:
        """Where it is."""
        ...

    @property
    def weight(self) -> Tensor:
        """weight_OI of a linear layer, weight_EOI of a layer of experts, weight_VH of a table of embeddings: whichever
        way it is stored. Not to be changed."""
        ...

    @property
    def stored(self) -> Tensor:
        """The weight as it is stored, whatever its form: what `Memo` is told that a value depends on."""
        ...

    def looked_up(self, tokens_P: Tensor) -> Tensor:
        """What a table of embeddings gives for tokens: rows_PH."""
        ...

    @property
    def bias_O(self) -> Tensor | None:
        """The bias of a linear layer."""
        ...


class Memo:
    """Values computed from tensors, kept until one of the tensors is changed in place or is another.

    The tensors themselves are not kept alive by it. Of tensors made in inference mode nobody can tell whether they
    changed, so from them all is computed anew. What is kept is no such tensor itself: it may serve a training later.

    >>> import torch
    >>> memo, tensor = Memo(), torch.ones(2)
    >>> [memo.of("sum", [tensor], lambda: tensor.sum().item()) for _ in range(2)]
    [2.0, 2.0]
    >>> _ = tensor.add_(1)
    >>> memo.of("sum", [tensor], lambda: tensor.sum().item())
    4.0
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, tuple[list[tuple[ref[Tensor], int]], Any]] = {}

    def of(self, name: str, tensors: list[Tensor], compute: Callable[[], Any]) -> Any:
        """`compute()`, or what it gave when `tensors` were last as they are now. The value must carry no gradient."""
        if any(tensor.is_inference() for tensor in tensors):
            return compute()
        kept = self._kept.get(name)
        versions = [tensor._version for tensor in tensors]
        if kept and all(a() is b and was == now for (a, was), b, now in zip(kept[0], tensors, versions, strict=True)):
            return kept[1]
        value = _computed(compute)
        self._kept[name] = list(zip(map(ref, tensors), versions, strict=True)), value
        return value


def _computed(compute: Callable[[], Any]) -> Any:
    import torch  # here, so that what only reads specs and shapes never loads it

    if not torch.is_inference_mode_enabled():
        return compute()
    with torch.inference_mode(False), torch.no_grad():
        return compute()
