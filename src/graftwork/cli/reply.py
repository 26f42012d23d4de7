"""What a command says: one JSON object on standard output, or words and tables for people."""

import json
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from rich.console import Console

from graftwork.core.errors import GraftworkError, SpecError

View = Callable[[Console], None]


def answer(data: Mapping[str, Any], view: View, *, as_json: bool) -> None:
    """Print `data` as one JSON object, or show `view`."""
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str, allow_nan=False) + "\n")
    else:
        view(Console(highlight=False, soft_wrap=False))


def refuse(error: GraftworkError | str, *, as_json: bool, kind: str) -> None:
    """Print why a command did not do what was asked: on standard error, and as JSON on standard output if wanted."""
    sys.stderr.write(f"{error}\n")
    if as_json:
        problems = (
            [
                {"path": p.path, "value": p.value, "expected": p.expected, "hint": p.hint, "text": str(p)}
                for p in error.problems
            ]
            if isinstance(error, SpecError)
            else []
        )
        told = {"error": {"kind": kind, "message": str(error), "problems": problems}}
        sys.stdout.write(json.dumps(_finite(told), ensure_ascii=False, indent=2, default=str, allow_nan=False) + "\n")


def _finite(value: object) -> object:
    """`value` with numbers that JSON has no word for as text."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
