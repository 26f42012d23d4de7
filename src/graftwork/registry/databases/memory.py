"""Rows in memory, gone with the process: for tests, and for trying things."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from graftwork.core.errors import ConflictError
from graftwork.registry.interface import Query, Row, Value
from graftwork.registry.tables import TABLES

Kept = dict[str, dict[tuple[Value, ...], dict[str, Value]]]


class MemoryRows:
    """A transaction on a copy of all tables."""

    def __init__(self, kept: Kept) -> None:
        self.kept = {table: dict(rows) for table, rows in kept.items()}

    def select(self, query: Query) -> list[dict[str, Value]]:
        """As `Transaction.select`."""
        table = TABLES[query.table]
        order = (query.order,) if query.order else table.key
        rows = [dict(row) for row in self.kept[query.table].values() if _fits(row, query)]
        rows.sort(key=lambda row: [_sortable(row[column]) for column in (*order, *table.key)])
        if query.newest_first:
            rows.reverse()
        return rows[: query.limit]

    def insert(self, table: str, row: Row) -> None:
        """As `Transaction.insert`."""
        key = TABLES[table].key_of(row)
        if key in self.kept[table]:
            raise ConflictError(f"{table} {'/'.join(map(str, key))} is on record already.")
        assert set(row) == set(TABLES[table].columns), (table, set(row))
        self.kept[table][key] = dict(row)

    def update(self, table: str, where: Row, values: Row) -> int:
        """As `Transaction.update`."""
        found = self.select(Query(table=table, where=where))
        for row in found:
            self.kept[table][TABLES[table].key_of(row)] = {**row, **values}
        return len(found)


class MemoryDatabase:
    """All tables in memory; writers go one after the other, readers see what was kept last."""

    def __init__(self) -> None:
        self._kept: Kept = {table: {} for table in TABLES}
        self._lock = Lock()

    @contextmanager
    def reading(self) -> Iterator[MemoryRows]:
        """As `Database.reading`."""
        yield MemoryRows(self._kept)

    @contextmanager
    def writing(self) -> Iterator[MemoryRows]:
        """As `Database.writing`."""
        with self._lock:
            rows = MemoryRows(self._kept)
            yield rows
            self._kept = rows.kept

    def close(self) -> None:
        """Nothing is held."""


def _fits(row: Row, query: Query) -> bool:
    if any(row[column] != wanted for column, wanted in query.where.items()):
        return False
    if query.at_most is not None:
        column, most = query.at_most
        held = row[column]
        if not (isinstance(held, int) and held <= most):
            return False
    return query.prefix is None or str(row[query.prefix[0]]).startswith(query.prefix[1])


def _sortable(value: Value) -> Any:
    return (value is not None, value if value is not None else 0)
