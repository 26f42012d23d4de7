"""The type of every request for an adapter: one of the catalog's methods, or several combined. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Field, Tag

import graftwork.adapters.methods  # noqa: F401  fills the catalog
from graftwork.adapters.asked import Combined
from graftwork.adapters.method import METHODS
from graftwork.core.errors import SpecError
from graftwork.core.spec import Spec, parse


def _method(raw: object) -> str:
    """A request that names no method is one for LoRA."""
    return str(raw.get("method", "lora") if isinstance(raw, Mapping) else getattr(raw, "method", "lora"))


if TYPE_CHECKING:
    AdapterSpec = Any
    CombinedSpec = Combined
else:
    _SPECS = tuple(dict.fromkeys(METHODS[name].spec for name in METHODS))
    _tagged = tuple(Annotated[spec, Tag(spec.model_fields["method"].default)] for spec in _SPECS)
    _ONE = Annotated[Union[_tagged], Discriminator(_method)]  # noqa: UP007

    class CombinedSpec(Combined):
        """A request for several methods in one adapter."""

        parts: tuple[_ONE, ...] = Field(min_length=2, max_length=8)
        """The methods, each with its settings; at a place that several act on, they act in this order."""

    AdapterSpec = Annotated[Union[(*_tagged, Annotated[CombinedSpec, Tag("combined")])], Discriminator(_method)]


class _Asked(Spec):
    adapter: AdapterSpec
    """The request."""


def parse_adapter_spec(raw: Mapping[str, Any]) -> Any:
    """A request for an adapter from plain data, whatever its method.

    Raises:
        SpecError: with paths from its own root.
    """
    try:
        return parse(_Asked, {"adapter": dict(raw)}).adapter
    except SpecError as error:
        raise SpecError(replace(p, path=p.path.removeprefix("adapter.")) for p in error.problems) from error
