"""Rows in SQLite or PostgreSQL, through SQLAlchemy.

SQLite: write-ahead log, every commit synchronised with the disk, `BEGIN IMMEDIATE` for writers. PostgreSQL: writers
hold an advisory lock of their transaction, readers a snapshot (REPEATABLE READ).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Text,
    and_,
    create_engine,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import IntegrityError as KeyTaken

from graftwork.core.errors import ConflictError, GraftworkError, IntegrityError, Problem, SpecError, WorkError
from graftwork.registry.interface import Query, Row, Value
from graftwork.registry.tables import TABLES, Table

BUSY_MS = 30_000
"""How long a writer waits for another one."""

WRITERS_LOCK = 0x6772_6166_7477_6F72
"""Of PostgreSQL's advisory locks, the one that the writers of a registry share: a number of our own."""

POSTGRES = "Install it: pip install 'graftwork[postgres]'"


def _column(name: str, table: Table) -> Column[Any]:
    kind = BigInteger if name in table.numbers else Text
    is_key = name in table.key
    return Column(name, kind, primary_key=is_key, nullable=name in table.nullable, autoincrement=False)


def _sql_table(name: str, table: Table) -> SqlTable:
    version = [ForeignKeyConstraint(["tenant", "digest"], ["version.tenant", "version.digest"])]
    columns = [_column(column, table) for column in table.columns]
    return SqlTable(name, METADATA, *columns, *(version if table.of_version else []))


METADATA = MetaData()
SQL_TABLES = {name: _sql_table(name, table) for name, table in TABLES.items()}
Index("move_by_name", *(SQL_TABLES["move"].c[name] for name in ("tenant", "name", "stage", "time_us")))


class SqlRows:
    """A transaction on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def select(self, query: Query) -> list[dict[str, Value]]:
        """As `Transaction.select`."""
        table = SQL_TABLES[query.table]
        asked = select(table).where(*self._conditions(table, query))
        order = [table.c[name] for name in ((query.order,) if query.order else ()) + TABLES[query.table].key]
        asked = asked.order_by(*(column.desc() if query.newest_first else column.asc() for column in order))
        if query.limit is not None:
            asked = asked.limit(query.limit)
        return [dict(row) for row in self._connection.execute(asked).mappings()]

    def insert(self, table: str, row: Row) -> None:
        """As `Transaction.insert`."""
        try:
            self._connection.execute(insert(SQL_TABLES[table]).values(dict(row)))
        except KeyTaken as error:
            key = "/".join(map(str, TABLES[table].key_of(row)))
            raise ConflictError(f"{table} {key} is on record already.") from error

    def update(self, table: str, where: Row, values: Row) -> int:
        """As `Transaction.update`."""
        sql = SQL_TABLES[table]
        changed = update(sql).where(*(sql.c[name] == value for name, value in where.items())).values(dict(values))
        return self._connection.execute(changed).rowcount

    @staticmethod
    def _conditions(table: SqlTable, query: Query) -> list[Any]:
        found: list[Any] = [table.c[name] == value for name, value in query.where.items()]
        if query.at_most is not None:
            found.append(table.c[query.at_most[0]] <= query.at_most[1])
        if query.prefix is not None:
            found.append(table.c[query.prefix[0]].startswith(query.prefix[1], autoescape=True))
        return [and_(*found)] if found else []


class SqlDatabase:
    """Tables in a SQL database whose schema is there already (`migrating.upgrade`)."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def reading(self) -> Iterator[SqlRows]:
        """As `Database.reading`."""
        level = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with in_words(), self.engine.connect().execution_options(**level) as connection, connection.begin():
            yield SqlRows(connection)

    @contextmanager
    def writing(self) -> Iterator[SqlRows]:
        """As `Database.writing`."""
        with in_words(), writing(self.engine) as connection:
            yield SqlRows(connection)

    def close(self) -> None:
        """Let go of connections."""
        self.engine.dispose()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other writer shares."""
    with engine.connect().execution_options(is_writer=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = {BUSY_MS}"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS_LOCK})
        yield connection


def sqlite_engine(path: Path) -> Engine:
    """An engine on a SQLite file, which is made when it is not there."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `_on_begin` does
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get("is_writer", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine


def server_engine(url: str) -> Engine:
    """An engine on a PostgreSQL server.

    Raises:
        SpecError: the address is none of PostgreSQL, or its driver is not installed.
    """
    shown = url.split("@")[-1]
    if not url.startswith("postgresql://"):
        raise SpecError([Problem("database", shown, "sqlite, or postgresql://user@host/database")])
    try:
        return create_engine("postgresql+psycopg://" + url.removeprefix("postgresql://"), pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise SpecError([Problem("database", shown, "postgresql://user@host/database")]) from error
    except ImportError as error:
        raise SpecError([Problem("database", shown, "a driver for PostgreSQL", POSTGRES)]) from error


@contextmanager
def in_words() -> Iterator[None]:
    """What a database says, as errors of this package; never with an address that may hold a password."""
    try:
        yield
    except GraftworkError:
        raise
    except OperationalError as error:
        said = str(error.orig).strip().splitlines()[0]
        if "locked" in said or "lock timeout" in said:
            raise ConflictError(
                f"Somebody else has been writing for {BUSY_MS // 1000} s ({said}). Try again."
            ) from error
        raise WorkError(f"The registry's database cannot be used: {said}.") from error
    except DatabaseError as error:
        said = str(error.orig).strip().splitlines()[0]
        raise IntegrityError(f"The registry's database is not as it was written: {said}. Restore a backup.") from error
    except SQLAlchemyError as error:
        raise WorkError(f"The registry's database cannot be used: {type(error).__name__}.") from error
