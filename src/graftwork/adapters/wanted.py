"""The type of every request for an adapter: one of the catalog's methods, or several combined. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

import graftwork.adapters.methods  # noqa: F401  fills the catalog
from graftwork.adapters.asked import Combined
from graftwork.adapters.method import METHODS
from graftwork.core.errors import SpecError
from graftwork.core.spec import Spec, parse

if TYPE_CHECKING:
    AdapterSpec = Any
    CombinedSpec = Combined
else:
    _SPECS = tuple(dict.fromkeys(METHODS[name].spec for name in METHODS))
    _ONE = _SPECS[0] if len(_SPECS) == 1 else Annotated[Union[_SPECS], Field(discriminator="method")]  # noqa: UP007

    class CombinedSpec(Combined):
        """A request for several methods in one adapter."""

        parts: tuple[_ONE, ...] = Field(min_length=2, max_length=8)
        """The methods, each with its settings; at a place that several act on, they act in this order."""

    AdapterSpec = Annotated[Union[(*_SPECS, CombinedSpec)], Field(discriminator="method")]


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
