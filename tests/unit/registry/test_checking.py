"""Whatever is changed behind the registry's back is found and named."""

import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.registries import ADMIN, APPROVERS, DEPLOYER, TRAINER, Clock, manifest, put

from graftwork.core.errors import IntegrityError
from graftwork.registry import naming
from graftwork.registry.access.keys import new_key, revoke
from graftwork.registry.blobs.folder import FolderBlobs
from graftwork.registry.checking import check
from graftwork.registry.checkpoints import sign_checkpoint
from graftwork.registry.databases.migrating import upgrade
from graftwork.registry.databases.sql import SqlDatabase, sqlite_engine
from graftwork.registry.interface import Query
from graftwork.registry.ledger import entry_of
from graftwork.registry.pins import pin
from graftwork.registry.signing.envelope import of_version, signed
from graftwork.registry.signing.keys import read_private_key, write_new_key
from graftwork.registry.state import Registry
from graftwork.registry.tables import TABLES


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "key"
    write_new_key(path)
    return read_private_key(path)


@pytest.fixture
def busy(tmp_path, key):
    """A registry with a row in every table."""
    with filled(tmp_path, key) as registry:
        yield registry, tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory, key):
    """The same, for tests that put back what they change."""
    path = tmp_path_factory.mktemp("shared")
    with filled(path, key) as registry:
        yield registry, path


@contextmanager
def filled(tmp_path, key):
    engine, clock = sqlite_engine(tmp_path / "registry.db"), Clock()
    upgrade(engine)
    trusted = {key.public.key_id: key.public}
    registry = Registry(
        database=SqlDatabase(engine), blobs=FolderBlobs(tmp_path / "blobs"), clock=clock, trusted=trusted
    )
    a = put(registry, "a", envelope=signed(of_version(manifest("a")), key))
    b = put(registry, "b")
    clock.go(days=1)
    naming.approve(registry, APPROVERS[0], "bot", a, "production", reason="looks good")
    naming.promote(registry, DEPLOYER, "bot", a, "production", expected=None, reason="first")
    naming.promote(registry, DEPLOYER, "bot", b, "production", expected=a)
    pin(registry, TRAINER, b, "run x", clock() + timedelta(days=1))
    text = new_key(registry, ADMIN, "kim", ["viewer"], expires=clock() + timedelta(days=9))
    revoke(registry, ADMIN, text.split("_")[1])
    sign_checkpoint(registry, ADMIN, key)
    clock.go(hours=1)
    naming.rollback(registry, DEPLOYER, "bot", expected=b)
    yield registry
    engine.dispose()


def sql(path, *words):
    with sqlite3.connect(path / "registry.db") as connection:
        done = connection.execute(*words).fetchall()
    connection.close()
    return done


def test_all_is_well(busy):
    registry, _ = busy
    found = check(registry, ADMIN)
    assert found.problems == ()
    assert (found.num_versions, found.num_signed, found.signed_up_to, found.num_entries) == (2, 1, 8, 9)
    assert found.num_blobs == 3  # the recipe is shared


def cells():
    for name, table in TABLES.items():
        for column in table.columns:
            yield pytest.param(name, column, id=f"{name}.{column}")


@pytest.mark.parametrize(("table", "column"), list(cells()))
def test_every_changed_field_of_every_row_is_found_and_named(shared, table, column):
    registry, path = shared
    rows = sql(path, f"SELECT rowid, {column} FROM {table} ORDER BY rowid")
    assert rows
    for rowid, value in rows:
        changed = value + 100 if isinstance(value, int) else 5 if column in TABLES[table].numbers else flipped(value)
        sql(path, "PRAGMA foreign_keys = OFF")
        sql(path, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))
        problems = check(registry, ADMIN).problems
        assert any(names(problem, table, rowid) for problem in problems), (value, changed, problems)
        sql(path, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, rowid))
    assert not check(registry, ADMIN).problems


def flipped(value):
    if value is None:
        return "x"
    middle = len(value) // 2
    return value[:middle] + ("0" if value[middle : middle + 1] != "0" else "1") + value[middle + 1 :]


def names(problem, table, rowid):
    if table == "ledger":
        return f"ledger entry {rowid}" in problem
    return problem.startswith((f'row ["{table}"', f"{table} "))


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_gone_is_named(busy, table):
    registry, path = busy
    sql(path, f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})")
    problems = check(registry, ADMIN).problems
    if table in ("ledger", "checkpoint"):  # the end of a chain: only who kept a checkpoint elsewhere can tell
        assert bool(problems) == (table == "ledger")  # rows that the cut entry wrote are not as the ledger says
    else:
        assert any(f'row ["{table}"' in problem and "is gone" in problem for problem in problems)


def test_any_flipped_byte_of_a_blob_is_found_and_named(busy):
    registry, path = busy
    blobs = sorted((path / "blobs").glob("??/*"))
    assert len(blobs) == 3
    for blob in blobs:
        whole = blob.read_bytes()
        blob.chmod(0o644)
        for at in (0, len(whole) // 2, len(whole) - 1):
            blob.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            (problem,) = check(registry, ADMIN).problems
            assert blob.name in problem
            assert "of version" in problem
        blob.write_bytes(whole[:-1])
        assert blob.name in check(registry, ADMIN).problems[0]
        blob.unlink()
        assert "is missing" in check(registry, ADMIN).problems[0]
        blob.write_bytes(whole)
    assert not check(registry, ADMIN).problems


def test_a_ledger_that_was_cut_or_written_anew_does_not_meet_a_checkpoint_kept_elsewhere(busy, key):
    registry, path = busy
    kept = sign_checkpoint(registry, ADMIN, key)
    sql(path, "DELETE FROM checkpoint")
    sql(path, "DELETE FROM ledger WHERE sequence = 9")
    sql(path, "DELETE FROM move WHERE sequence = 9")
    before = sql(path, "SELECT after FROM move WHERE sequence = 5")[0][0]
    sql(path, "UPDATE pointer SET sequence = 5, digest = ?", (before,))
    assert not check(registry, ADMIN).problems  # a whole, shorter ledger: nothing in it says that there was more
    (problem,) = check(registry, ADMIN, checkpoints=(kept,)).problems
    assert problem == "checkpoint 1 of those given: ledger entry 9, which it signs, is not there."


def test_an_entry_that_was_written_anew_is_found_by_the_next_one_and_by_a_checkpoint(busy):
    registry, path = busy
    with registry.database.reading() as rows:
        third = rows.select(Query(table="ledger", where={"sequence": 3}))[0]
    entry = replace(entry_of(third), actor="mallory")
    sql(path, "UPDATE ledger SET actor = ?, digest = ? WHERE sequence = 3", (entry.actor, entry.digest))
    problems = check(registry, ADMIN).problems
    assert problems[0] == "ledger entry 4 does not follow from entry 3."


def test_a_signature_of_a_trusted_key_over_something_else_is_named(busy, key):
    registry, path = busy
    other = signed(of_version(manifest("c")), key)
    with pytest.raises(IntegrityError, match="says something else"):
        put(registry, "d", envelope=other)
    sql(path, "UPDATE version SET envelope = ? WHERE envelope IS NOT NULL", (other,))
    assert any("says something else" in problem for problem in check(registry, ADMIN).problems)


def test_an_unreadable_database_is_told_in_words(busy):
    registry, path = busy
    registry.database.close()
    (path / "registry.db").write_bytes(b"no database" * 1000)
    for left in path.glob("registry.db-*"):
        left.unlink()
    with pytest.raises(IntegrityError, match="Restore a backup"):
        check(registry, ADMIN)
