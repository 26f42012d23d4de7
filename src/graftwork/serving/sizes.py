"""Numbers of bytes in settings: plain, or with a unit."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def bytes_of(value: Any) -> Any:
    """A number of bytes from a number, or from text such as `4 GiB`; what is neither stays as it is.

    >>> bytes_of("1.5 KiB"), bytes_of(7)
    (1536, 7)
    """
    if not isinstance(value, str):
        return value
    number, _, unit = value.strip().rpartition(" ")
    try:
        return int(float(number) * UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        return value


def _with_unit(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]


Bytes = Annotated[int, BeforeValidator(bytes_of), Field(gt=0, json_schema_extra=_with_unit)]
"""A number of bytes, or text such as `4 GiB`."""
