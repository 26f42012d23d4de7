"""The rank of every layer, for people. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from graftwork.core.units import count_text


def show_ranks(console: Console, told: Mapping[str, Any]) -> None:
    """A row for each run of layers that are alike, a column for each role."""
    table = Table("layers", title="Rank of every layer", title_justify="left")
    for name in _headings(told["roles"]):
        table.add_column(name, justify="right")
    table.add_column("numbers\na layer", justify="right", no_wrap=True)
    for _, run in groupby(told["layers"], key=lambda row: (row["ranks"], row["num_params"], row["layer"] is None)):
        rows = list(run)
        ranks = (", ".join(map(str, rows[0]["ranks"].get(role, ["-"]))) for role in told["roles"])
        table.add_row(_span([row["layer"] for row in rows]), *ranks, count_text(rows[0]["num_params"]))
    console.print(table)
    console.print(f"Ranks sum to {count_text(told['total_rank'])}; {count_text(told['num_params'])} trained numbers.")
    if told["moves"]:
        names = " and ".join(told["moves"])
        console.print(f"{names}: ranks move in training; their sum is kept, the numbers are those at the start.")


def _headings(roles: Sequence[str]) -> list[str]:
    """Roles on two lines, what they begin with only where it is another than before.

    >>> _headings(["attention.q", "attention.k", "mlp.up", "other"])
    ['attention\\n.q', '\\n.k', 'mlp\\n.up', 'other']
    """
    begins = [role.partition(".")[0] for role in roles]
    told = []
    for number, role in enumerate(roles):
        begin, dot, rest = role.partition(".")
        repeated = dot and number and begins[number - 1] == begin
        told.append(f"{'' if repeated else begin}\n.{rest}" if dot else role)
    return told


def _span(layers: Sequence[int | None]) -> str:
    """
    >>> _span([3]), _span([0, 1, 2]), _span([0, 2, 4]), _span([None])
    ('3', '0 to 2', '0, 2, 4', 'outside')
    """
    numbers = [layer for layer in layers if layer is not None]
    if len(numbers) < len(layers):
        return "outside"
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
