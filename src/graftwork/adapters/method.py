"""What an adapter method is: one record a method, and the catalog that holds them.

The site fixes what the functions are given and give back:

| site | `shapes(spec, place)` is given | `apply(spec, params, ...)` | `merge(spec, params, weight_OI)` |
|---|---|---|---|
| linear | in and out features | `x_NI, weight_OI, base_NO` to `y_NO` | to `weight_OI` |

`init(spec, weight_OI, generator)` gives float32 starting values.
A spec that reaches these functions is resolved for its place: a rank in it is a whole number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from graftwork.core.catalog import Catalog
from graftwork.core.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

Site = Literal["linear"]
Shapes = Mapping[str, tuple[int, ...]]
Params = Mapping[str, "Tensor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """An adapter method.

    Attributes:
        site: where it attaches; fixes what `shapes` is given and what `apply` takes and gives.
        source: where the mathematics comes from.
        shapes: every trained tensor by name. The one truth about size: the planner counts it, the trainer allocates
            it, a load checks it.
        init: their starting values, float32, drawn from the generator given.
        apply: what the adapted site computes. Changes nothing it is given.
        merge: a plain weight that computes what `apply` computes; None if none can.
        neutral: whether a fresh adapter changes nothing.
    """

    name: str
    site: Site
    spec: type[Spec]
    source: str
    shapes: Callable[..., Shapes]
    init: Callable[..., Params]
    apply: Callable[..., Any]
    merge: Callable[..., Any] | None
    neutral: bool = True


METHODS: Catalog[Method] = Catalog("adapter method")
