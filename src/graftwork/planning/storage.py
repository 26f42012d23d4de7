"""What k tasks take on disk and in memory, as full copies or as adapters, and what a training costs. Pure.

    full copies  k * W        adapters  W + k * A

with W bytes of the base and A of an adapter's trained numbers. Prices are the user's: none is known here.
"""

from __future__ import annotations

from dataclasses import dataclass

ADAPTER_BYTES = 4
"""Of a number in an adapter's file: float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """Bytes for `tasks` tasks.

    Attributes:
        copy: of one full copy; adapter: of one adapter.
    """

    tasks: int
    copy: float
    adapter: float

    @property
    def copies(self) -> float:
        """A full copy a task."""
        return self.tasks * self.copy

    @property
    def adapters(self) -> float:
        """One base, and an adapter a task."""
        return self.copy + self.tasks * self.adapter

    @property
    def smaller(self) -> float:
        """How many times smaller one adapter is than one copy."""
        return self.copy / self.adapter if self.adapter else float("inf")


def storage_of(num_base: int, bytes_per_number: int, trained: int, tasks: int) -> Storage:
    """For a base of `num_base` numbers.

    >>> storage_of(7_000_000_000, 2, 40_000_000, 100).smaller
    87.5
    """
    return Storage(tasks=tasks, copy=num_base * bytes_per_number, adapter=trained * ADAPTER_BYTES)


def money(seconds: float, devices: int, price_per_hour: float | None) -> float | None:
    """What device time costs at a price that the user gave; None without one.

    >>> money(1800, 8, 2.0), money(1800, 8, None)
    (8.0, None)
    """
    return None if price_per_hour is None else seconds / 3600 * devices * price_per_hour
