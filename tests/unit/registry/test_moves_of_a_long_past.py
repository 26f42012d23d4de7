"""What a move takes does not grow with a name's past: counted in the steps of SQLite's machine, and no clock."""

import pytest
from sqlalchemy import event
from tests.support.registries import ROOT, Clock, put

from graftwork.registry import naming
from graftwork.registry.blobs.memory import MemoryBlobs
from graftwork.registry.databases.migrating import upgrade
from graftwork.registry.databases.sql import SqlDatabase, sqlite_engine
from graftwork.registry.state import Registry

SHORT, LONG = 10, 200


@pytest.fixture
def counted(tmp_path):
    """A registry whose `bot` has meant two versions, and `steps(work)`: how many steps some work takes."""
    engine = sqlite_engine(tmp_path / "registry.db")
    count = 0

    @event.listens_for(engine, "connect")
    def _on_connect(connection, _):
        def more():
            nonlocal count
            count += 1

        connection.set_progress_handler(more, 1)

    upgrade(engine)
    clock = Clock()
    registry = Registry(database=SqlDatabase(engine), blobs=MemoryBlobs(clock), clock=clock)
    versions = [put(registry, word) for word in ("one", "two")]
    for version in versions:
        naming.nominate(registry, ROOT, "bot", version, expected=None)
        before = naming.names(registry, ROOT)["bot"].get("production")
        naming.promote(registry, ROOT, "bot", version, "production", expected=before)

    def steps(work):
        nonlocal count
        before = count
        work()
        return count - before

    yield registry, versions, clock, steps
    registry.database.close()


def test_a_move_takes_as_much_after_many_as_after_few(counted):
    registry, versions, clock, steps = counted

    def back(digest=None):
        now = naming.resolve(registry, ROOT, "bot")
        target = digest and next(one for one in versions if one != now)
        naming.rollback(registry, ROOT, "bot", target, expected=now)

    def promote():
        now = naming.resolve(registry, ROOT, "bot")
        other = next(one for one in versions if one != now)
        naming.promote(registry, ROOT, "bot", other, "production", expected=now)

    def look():
        naming.at(registry, ROOT, "bot", clock.now)

    taken = []
    for num_moves in (SHORT, LONG):
        for number in range(num_moves):
            clock.go(seconds=number % 3)  # several at one moment, too
            back()
        taken.append([steps(work) for work in (back, lambda: back("named"), promote, look)])
    short, long = taken
    assert all(after < 1.5 * before for before, after in zip(short, long, strict=True)), taken
