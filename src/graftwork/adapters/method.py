"""What an adapter method is: one record a method, and the catalog that holds them.

The site fixes what `act` is given and gives back:

| site | `act(spec, params, ...)` | gives |
|---|---|---|
| linear | `frozen, memo` | a `LinearForm` |
| experts | `frozen, memo` | a `LinearForm` with a leading dimension of experts |
| block | `entry_NH, exit_NH` | the sub-layer's output_NH |
| attention_cache | nothing more | keys_PKD and values_PKD put before the others |
| input_embedding | nothing more | soft tokens_PH put before the others |

`shapes(spec, place)` says every tensor's shape, `init(spec, frozen, generator)` gives float32 starting values, or
float64 where they are read off float64 weights.
A spec that reaches these functions is resolved for its place: a rank in it is a whole number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftwork.core.catalog import Catalog

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.evolution import Evolution
    from graftwork.base.facts import Place, Site
    from graftwork.core.spec import Spec

Shapes = Mapping[str, tuple[int, ...]]
Params = Mapping[str, "Tensor"]


def _nothing(spec: Spec, place: Place) -> bool:
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """An adapter method.

    Attributes:
        site: where it attaches; fixes what `act` is given and gives.
        source: where the mathematics comes from.
        shapes: every tensor by name. The one truth about size: the planner counts it, the trainer allocates it, a load
            checks it.
        init: their starting values, float32, drawn from the generator given.
        act: what the adapted site computes. Changes nothing it is given.
        kept: names of tensors that are not trained.
        gains_input: whether its form at a place has an input gain; linear site only.
        run: at the linear site, another way to compute `base + scale * up (down x)` in fewer operations than the
            dense form: `run(spec, params, x_NI, base_NO)`.
        neutral: whether a fresh adapter changes nothing: "exact" bit for bit, "nearly" but for rounding, "no".
        slope: whether its gradient is the slope of what it computes; false where the method holds something constant.
        penalty: `penalty(spec, params)`: a scalar for one place. The mean over the places of its part is added to the
            loss of every step.
        evolution: what happens to it between steps, over all its places at once.
        plain: the same update as a plain LoRA: resolved spec and params of method `lora`, for tools that know LoRA
            alone.
        experts: the method that stands for this one at fused experts; None if there is none.
    """

    name: str
    site: Site
    spec: type[Spec]
    source: str
    shapes: Callable[..., Shapes]
    init: Callable[..., Params]
    act: Callable[..., Any]
    kept: tuple[str, ...] = ()
    gains_input: Callable[..., bool] = _nothing
    run: Callable[..., Tensor] | None = None
    neutral: str = "exact"
    slope: bool = True
    penalty: Callable[..., Tensor] | None = None
    evolution: Evolution | None = None
    plain: Callable[..., tuple[Spec, Params]] | None = None
    experts: Method | None = None

    def caps(self, param: str, shape: Sequence[int]) -> bool:
        """Whether a tensor is a trained matrix, or a stack of them, whose singular values say how much it can do."""
        return self.site in ("linear", "experts", "block") and len(shape) >= 2 and param not in self.kept

    @property
    def merges(self) -> bool:
        """Whether a plain weight can compute what the adapted site computes."""
        return self.site in ("linear", "experts")


METHODS: Catalog[Method] = Catalog("adapter method")
