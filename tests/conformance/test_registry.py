"""What every registry promises, over memory, SQLite and PostgreSQL."""

import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from shutil import rmtree

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.support import postgres
from tests.support.registries import (
    ADMIN,
    APPROVERS,
    DEPLOYER,
    ROOT,
    TRAINER,
    Clock,
    contents,
    hexed,
    manifest,
    memory_registry,
    put,
)

from graftwork.core.errors import ConflictError, DeniedError, NotFoundError, SpecError, WorkError
from graftwork.core.spec import parse
from graftwork.registry import naming, versions
from graftwork.registry.access.keys import new_key
from graftwork.registry.access.roles import principal
from graftwork.registry.backup import back_up, restore
from graftwork.registry.blobs.memory import MemoryBlobs
from graftwork.registry.checking import check
from graftwork.registry.databases.memory import MemoryDatabase
from graftwork.registry.databases.migrating import upgrade
from graftwork.registry.databases.sql import SqlDatabase, server_engine, sqlite_engine
from graftwork.registry.interface import Query
from graftwork.registry.policy import PolicySpec
from graftwork.registry.state import Registry

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_url():
    """`postgres_url()`: the address of a database of one's own on a private server."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    import psycopg

    folder = tempfile.mkdtemp(prefix="gw-", dir="/tmp")  # the path of a socket must be short
    with postgres.server(folder) as url:

        def fresh():
            name = f"registry{next(NUMBERS)}"
            with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return url.format(name)

        yield fresh
    rmtree(folder, ignore_errors=True)


@pytest.fixture
def made(request, tmp_path):
    """`made()`: an empty registry of this kind and its clock."""
    opened = []

    def make(**asked):
        database = _database(request, tmp_path)
        opened.append(database)
        clock = Clock()
        return Registry(database=database, blobs=MemoryBlobs(clock), clock=clock, **asked), clock

    yield make
    for database in opened:
        database.close()


def _database(request, tmp_path):
    if request.param == "memory":
        return MemoryDatabase()
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path / f"registry{next(NUMBERS)}.db")
    else:
        engine = server_engine(request.getfixturevalue("postgres_url")())
    upgrade(engine)
    return SqlDatabase(engine)


pytestmark = pytest.mark.parametrize("made", ["memory", "sqlite", "postgresql"], indirect=True)


def rows(registry, table):
    with registry.database.reading() as transaction:
        return transaction.select(Query(table=table))


def test_what_is_put_in_comes_out_and_never_changes(made):
    registry, _ = made()
    digest = put(registry, "a")
    found = versions.get(registry, TRAINER, digest)
    assert found.manifest == manifest("a")
    assert found.trainer == "tom"
    for path, content in contents("a").items():
        assert b"".join(versions.read_file(registry, TRAINER, digest, path)) == content
    with pytest.raises(NotFoundError, match=r"no file 'x' in it. There are: adapter/adapter_model.safetensors"):
        versions.read_file(registry, TRAINER, digest, "x")


def test_putting_twice_is_the_same_as_once(made):
    registry, _ = made()
    assert put(registry, "a") == put(registry, "a", who=ROOT)
    assert len(rows(registry, "version")) == len(rows(registry, "ledger")) == 1
    assert versions.get(registry, TRAINER, put(registry, "a")).trainer == "tom"


def test_files_other_than_the_manifest_says_are_refused_and_nothing_is_recorded(made):
    registry, _ = made()
    with pytest.raises(SpecError, match="the files of the manifest, each of them and no other"):
        versions.put_in(registry, TRAINER, manifest("a"), {"recipe.yaml": [b""]}, None)
    pieces = {path: [content[::-1]] for path, content in contents("a").items()}
    with pytest.raises(Exception, match="is not what the manifest says"):
        versions.put_in(registry, TRAINER, manifest("a"), pieces, None)
    assert rows(registry, "version") == rows(registry, "ledger") == []


def test_a_version_is_found_by_the_beginning_of_its_digest(made):
    registry, _ = made()
    digest = put(registry, "a")
    assert versions.find(registry, TRAINER, digest[:8]) == digest
    with pytest.raises(SpecError, match="6 or more"):
        versions.find(registry, TRAINER, "%")
    with pytest.raises(NotFoundError):
        versions.find(registry, TRAINER, "0" * 20)


def test_a_name_moves_only_from_where_the_caller_saw_it(made):
    registry, _ = made()
    a, b = put(registry, "a"), put(registry, "b")
    naming.promote(registry, DEPLOYER, "bot", a, "production", expected=None)
    with pytest.raises(ConflictError, match="somebody moved it"):
        naming.promote(registry, DEPLOYER, "bot", b, "production", expected=None)
    with pytest.raises(ConflictError, match="already"):
        naming.promote(registry, DEPLOYER, "bot", a, "production", expected=a)
    naming.promote(registry, DEPLOYER, "bot", b, "production", expected=a)
    assert naming.resolve(registry, TRAINER, "bot") == b


def test_of_many_who_saw_the_same_one_wins(made):
    registry, _ = made()
    first, *others = [put(registry, f"v{n}") for n in range(9)]
    naming.promote(registry, DEPLOYER, "bot", first, "production", expected=None)

    def won(digest):
        with suppress(ConflictError):
            naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=first)
            return digest
        return None

    with ThreadPoolExecutor(4) as pool:
        winners = [digest for digest in pool.map(won, others) if digest]
    assert [naming.resolve(registry, TRAINER, "bot")] == winners
    assert len(naming.history(registry, TRAINER, "bot")) == 2


def test_writers_of_different_names_wait_for_each_other_and_all_succeed(made):
    registry, _ = made()
    digests = [put(registry, f"v{n}") for n in range(3)]

    def moves(name):
        seen = None
        for digest in digests:
            naming.promote(registry, DEPLOYER, name, digest, "production", expected=seen)
            seen = digest
        return name

    with ThreadPoolExecutor(4) as pool:
        moved = list(pool.map(moves, [f"name{n}" for n in range(8)]))
    assert naming.names(registry, TRAINER) == {name: {"production": digests[-1]} for name in moved}
    found = check(registry, ADMIN)
    assert not found.problems
    assert found.num_entries == 3 + 3 * 8


def test_a_backup_of_one_kind_of_database_restores_into_any_other(made, tmp_path):
    one, _ = memory_registry()
    a, b = put(one, "a"), put(one, "b")
    naming.approve(one, APPROVERS[0], "bot", a, "production")
    naming.promote(one, DEPLOYER, "bot", a, "production", expected=None)
    naming.promote(one, DEPLOYER, "bot", b, "production", expected=a)
    new_key(one, ADMIN, "kim", ["viewer"])
    other, _ = made()
    back_up(one, ADMIN, tmp_path / "first.tar")
    restore(other, ADMIN, tmp_path / "first.tar")
    assert not check(other, ADMIN).problems
    assert all(rows(other, table) == rows(one, table) for table in ("ledger", "move", "version"))
    assert naming.rollback(other, DEPLOYER, "bot", expected=b) == a
    back_up(other, ADMIN, tmp_path / "second.tar")


def test_what_a_name_was_at_any_moment_is_answered(made):
    registry, clock = made()
    a, b = put(registry, "a"), put(registry, "b")
    before = clock()
    for digest, seen in ((a, None), (b, a)):
        clock.go(days=1)
        naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=seen)
    clock.go(days=1)
    naming.retire(registry, DEPLOYER, "bot", expected=b)

    def meant(**later):
        move = naming.at(registry, TRAINER, "bot", before + timedelta(**later))
        return move and move.after

    assert [meant(hours=hours) for hours in (23, 24, 47, 48, 71, 72, 999)] == [None, a, a, b, b, None, None]
    with pytest.raises(SpecError, match="time zone"):
        naming.at(registry, TRAINER, "bot", datetime(2026, 3, 3))


def test_a_version_goes_through_its_stages_and_leaves_those_before(made):
    registry, _ = made()
    a, b = put(registry, "a"), put(registry, "b")
    naming.nominate(registry, TRAINER, "bot", a, expected=None)
    naming.promote(registry, DEPLOYER, "bot", a, "canary", expected=None)
    assert naming.names(registry, TRAINER) == {"bot": {"canary": a}}
    naming.promote(registry, DEPLOYER, "bot", a, "production", expected=None)
    naming.nominate(registry, TRAINER, "bot", b, expected=None)
    assert naming.names(registry, TRAINER) == {"bot": {"candidate": b, "production": a}}
    with pytest.raises(SpecError, match="canary or production"):
        naming.promote(registry, DEPLOYER, "bot", a, "retired", expected=None)


def test_a_rollback_is_one_move_to_any_earlier_version_and_to_no_other(made):
    registry, _ = made()
    a, b, c, never = (put(registry, word) for word in "abcd")
    for digest, seen in ((a, None), (b, a), (c, b)):
        naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=seen)
    assert naming.rollback(registry, DEPLOYER, "bot", expected=c) == b
    assert naming.rollback(registry, DEPLOYER, "bot", a, expected=b) == a
    with pytest.raises(ConflictError, match="had no version"):
        naming.rollback(registry, DEPLOYER, "bot", never, expected=a)
    with pytest.raises(ConflictError, match="had no version before its last move"):
        naming.rollback(registry, DEPLOYER, "other", expected=None)
    assert [move.after for move in naming.history(registry, TRAINER, "bot")] == [a, b, c, b, a]


def test_promotion_tells_every_rule_that_is_not_met(made):
    rules = {
        "allowed_from": ["canary"],
        "approvers": 2,
        "signed": True,
        "logits": True,
        "certificate": [{"dimension": "safety"}, {"dimension": "accuracy", "at_least": "better"}],
    }
    registry, _ = made(policy=parse(PolicySpec, {"production": rules}))
    said = {"result": hexed("r"), "certificate": hexed("c")}
    verdicts = [{"dimension": "accuracy", "reference": "base", "verdict": "not worse"}]
    digest = put(registry, "a", evaluation={**said, "verdicts": verdicts})
    with pytest.raises(ConflictError) as refused:
        naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=None)
    lines = str(refused.value).splitlines()
    assert lines[0] == f"{digest[:12]} does not go to production of 'bot':"
    assert [line.split(" = ")[0] for line in lines[1:]] == [
        "stage",
        "approvers",
        "certificate.safety beside base",
        "certificate.accuracy beside base",
        "signed",
        "logits",
    ]
    assert naming.names(registry, TRAINER) == {}


def test_four_eyes_the_trainer_never_counts(made):
    registry, _ = made(policy=parse(PolicySpec, {"production": {"approvers": 2}}))
    digest = put(registry, "a", who=ROOT)
    with pytest.raises(ConflictError, match=r"root put .* in and cannot approve it"):
        naming.approve(registry, ROOT, "bot", digest, "production")
    naming.approve(registry, APPROVERS[0], "bot", digest, "production")
    with pytest.raises(ConflictError, match="on record already"):
        naming.approve(registry, APPROVERS[0], "bot", digest, "production")
    naming.approve(registry, APPROVERS[1], "other", digest, "production")  # of another name
    naming.approve(registry, APPROVERS[1], "bot", digest, "canary")  # of another stage
    with pytest.raises(ConflictError, match="approvers = 'ann'"):
        naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=None)
    naming.approve(registry, APPROVERS[1], "bot", digest, "production")
    naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=None)


def test_a_tenant_never_sees_another(made):
    registry, _ = made()
    digest = put(registry, "a")
    naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=None)
    stranger = principal("eve", ["admin"], tenant="other")
    for ask in (
        lambda: versions.get(registry, stranger, digest),
        lambda: versions.find(registry, stranger, digest[:10]),
        lambda: naming.resolve(registry, stranger, "bot"),
        lambda: naming.history(registry, stranger, "bot"),
        lambda: naming.promote(registry, stranger, "bot", digest, "production", expected=None),
        lambda: naming.approve(registry, stranger, "bot", digest, "production"),
    ):
        with pytest.raises(NotFoundError):
            ask()
    assert versions.all_versions(registry, stranger) == []
    assert naming.names(registry, stranger) == {}
    assert naming.at(registry, stranger, "bot", datetime.now(UTC)) is None
    assert put(registry, "a", who=stranger) == digest
    assert naming.names(registry, stranger) == {}


def test_nothing_is_recorded_when_a_change_is_refused(made):
    registry, clock = made()
    put(registry, "a")
    before = {table: rows(registry, table) for table in ("version", "ledger", "pointer", "move", "approval")}
    for bad in ("Bot", "-bot", "", "a/b", "../x", "b" * 101):
        with pytest.raises(SpecError):
            naming.promote(registry, DEPLOYER, bad, put(registry, "a"), "production", expected=None)
    with pytest.raises(DeniedError, match="tom may not promote here; whoever is deployer, admin may"):
        naming.promote(registry, TRAINER, "bot", hexed("x"), "production", expected=None)
    clock.go(hours=-1)
    with pytest.raises(WorkError, match="Set the clock right"):
        put(registry, "b")
    assert {table: rows(registry, table) for table in before} == before


def test_an_entry_is_never_earlier_than_the_one_before(made):
    registry, clock = made()
    put(registry, "a")
    clock.go(seconds=-30)  # another machine's clock
    put(registry, "b")
    times = [row["time_us"] for row in rows(registry, "ledger")]
    assert times == sorted(times)
    assert not check(registry, ADMIN).problems


def test_a_reader_sees_one_moment_while_others_write(made):
    registry, _ = made()
    a, b = put(registry, "a"), put(registry, "b")
    naming.promote(registry, DEPLOYER, "bot", a, "production", expected=None)
    with registry.database.reading() as seen:
        first = seen.select(Query(table="pointer"))
        naming.promote(registry, DEPLOYER, "bot", b, "production", expected=a)
        assert seen.select(Query(table="pointer")) == first
        assert len(seen.select(Query(table="move"))) == 1
    assert naming.resolve(registry, TRAINER, "bot") == b


class TwoWriters(RuleBasedStateMachine):
    """Two writers who move two names; each may have seen an older moment than the other."""

    words = st.sampled_from("abc")
    who = st.sampled_from(["first", "second"])
    bot = st.sampled_from(["bot", "cat"])

    def __init__(self, made):
        super().__init__()
        self.registry, self.clock = made()
        self.digests, self.moves, self.seen = {}, [], {}

    @initialize()
    def put_all_in(self):
        self.digests = {word: put(self.registry, word) for word in "abc"}

    @rule(who=who, name=bot)
    def look(self, who, name):
        self.seen[who, name] = self.meant(name)

    @rule(who=who, name=bot, word=words)
    def promote(self, who, name, word):
        seen, digest = self.seen.get((who, name)), self.digests[word]
        is_right = self.meant(name) == seen != digest
        self.tried(is_right, name, seen, digest, naming.promote, digest, "production")

    @rule(who=who, name=bot)
    def retire(self, who, name):
        seen = self.seen.get((who, name))
        self.tried(seen is not None and self.meant(name) == seen, name, seen, None, naming.retire)

    @rule(who=who, name=bot, word=words)
    def roll_back(self, who, name, word):
        seen, digest = self.seen.get((who, name)), self.digests[word]
        was = any(move[0] == name and move[2] == digest for move in self.moves)
        self.tried(was and self.meant(name) == seen != digest, name, seen, digest, naming.rollback, digest)

    def tried(self, is_right, name, before, after, act, *words):
        self.clock.go(seconds=1)
        try:
            act(self.registry, ROOT, name, *words, expected=before)
        except ConflictError:
            assert not is_right
        else:
            assert is_right
            self.moves.append((name, before, after, self.clock()))

    def meant(self, name):
        return next((move[2] for move in reversed(self.moves) if move[0] == name), None)

    @invariant()
    def no_move_is_lost(self):
        for name in ("bot", "cat"):
            mine = [(before, after) for n, before, after, _ in self.moves if n == name]
            told = naming.history(self.registry, ROOT, name) if mine else []
            assert [(move.before, move.after) for move in told] == mine
            assert all(one.after == two.before for one, two in itertools.pairwise(told))

    def teardown(self):
        for n, (name, _, after, moment) in enumerate(self.moves):
            assert naming.at(self.registry, ROOT, name, moment).after == after, n
        assert not check(self.registry, ADMIN).problems


def test_moves_of_two_writers_never_lose_history(made):
    few = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: TwoWriters(made), settings=few)


def test_a_changed_clock_or_policy_is_another_registry_on_the_same_rows(made):
    registry, _ = made()
    strict = replace(registry, policy=parse(PolicySpec, {"production": {"approvers": 1}}))
    digest = put(registry, "a")
    with pytest.raises(ConflictError, match="approvers = 'nobody'"):
        naming.promote(strict, DEPLOYER, "bot", digest, "production", expected=None)
    naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=None)
