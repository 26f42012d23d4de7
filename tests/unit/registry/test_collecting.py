"""Garbage: never what is needed, always what is not, also with a writer at work."""

import os
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.registries import ADMIN, DEPLOYER, ROOT, TRAINER, contents, manifest, memory_registry, put

from graftwork.core.errors import ConflictError, DeniedError, NotFoundError, SpecError
from graftwork.registry import naming, versions
from graftwork.registry.access.roles import principal
from graftwork.registry.blobs.folder import FolderBlobs
from graftwork.registry.checking import check
from graftwork.registry.collecting import collect, plan
from graftwork.registry.pins import pin, unpin

KEEP = timedelta(days=30)


def test_files_go_only_when_nobody_needs_the_version(tmp_path):
    registry, clock = memory_registry()
    named, was, pinned, below, upper, lone = (put(registry, word) for word in ("n", "w", "p", "b", "u", "l"))
    upper = put(registry, "u2", on=manifest("b").content)
    naming.promote(registry, DEPLOYER, "bot", was, "production", expected=None)
    naming.nominate(registry, TRAINER, "cat", upper, expected=None)
    clock.go(days=100)
    naming.promote(registry, DEPLOYER, "bot", named, "production", expected=was)
    pin(registry, TRAINER, pinned, "run x", clock() + timedelta(days=20))
    lately = put(registry, "late")
    clock.go(days=10)
    first = plan(registry, ADMIN, keep=KEEP)
    assert set(first.versions) == {lone, put_digest("u")}
    assert first.kept == {
        named: "'bot' means it in production",
        was: "'bot' meant it lately in production",
        pinned: "pinned by run x",
        below: f"{upper[:12]} stands on it",
        upper: "'cat' means it in candidate",
        lately: "added lately",
    }
    assert len(first.blobs) == 2  # the recipe is shared
    assert collect(registry, ADMIN, keep=KEEP) == first
    assert not check(registry, ADMIN).problems
    clock.go(days=25)
    assert set(collect(registry, ADMIN, keep=KEEP).versions) == {was, pinned, lately}
    assert not check(registry, ADMIN).problems


def put_digest(word):
    from graftwork.registry.manifest import manifest_digest

    return manifest_digest(manifest(word))


def test_a_plan_changes_nothing():
    registry, clock = memory_registry()
    put(registry, "a")
    clock.go(days=1000)
    before = dict(registry.blobs.kept)
    assert plan(registry, ADMIN).num_bytes == sum(map(len, contents("a").values()))
    assert registry.blobs.kept == before
    assert versions.all_versions(registry, TRAINER)[0].collected_us is None


def test_what_was_given_up_stays_on_record_and_comes_back_when_it_is_added_again():
    registry, clock = memory_registry()
    digest, other = put(registry, "a"), put(registry, "b")
    naming.promote(registry, DEPLOYER, "bot", digest, "production", expected=None)
    naming.promote(registry, DEPLOYER, "bot", other, "production", expected=digest)
    clock.go(days=1000)
    assert collect(registry, ADMIN).versions == (digest,)
    assert naming.history(registry, TRAINER, "bot")[0].after == digest
    for act in (
        lambda: naming.rollback(registry, DEPLOYER, "bot", digest, expected=other),
        lambda: naming.promote(registry, DEPLOYER, "bot", digest, "canary", expected=None),
        lambda: pin(registry, TRAINER, digest, "run x", clock() + KEEP),
    ):
        with pytest.raises(ConflictError, match=r"given up .* Add its run again|given up already"):
            act()
    assert put(registry, "a") == digest
    naming.rollback(registry, DEPLOYER, "bot", digest, expected=other)
    assert not check(registry, ADMIN).problems


def test_blobs_that_were_just_put_stay_and_old_ones_of_nobody_go():
    registry, clock = memory_registry()
    registry.blobs.put([b"of a writer that was killed"])
    assert collect(registry, ADMIN).blobs == ()
    clock.go(hours=2)
    assert len(collect(registry, ADMIN).blobs) == 1
    assert not registry.blobs.kept


def test_a_writer_that_reuses_an_old_blob_is_never_left_without_it(tmp_path):
    """The collector is let in between putting the blobs and recording them."""
    registry, clock = memory_registry()
    put(registry, "a")
    clock.go(days=1000)

    class Between:
        def __init__(self, blobs):
            self.blobs, self.left = blobs, len(contents("a"))

        def put(self, chunks):
            self.left -= 1
            digest = self.blobs.put(chunks)
            blob = self.blobs.find(digest)
            old = replace(blob, modified=blob.modified - timedelta(days=1))  # a store whose clock is behind
            self.blobs.kept[digest] = (self.blobs.kept[digest][0], old)
            if self.left == 0:
                collect(registry, ADMIN)
            return digest

        def find(self, digest):
            return self.blobs.find(digest)

    with pytest.raises(ConflictError, match="was taken away"):
        put(replace(registry, blobs=Between(registry.blobs)), "a")
    assert not check(registry, ADMIN).problems
    put(registry, "a")
    assert not check(registry, ADMIN).problems


def test_a_collector_and_a_writer_at_work_together_leave_nothing_missing(tmp_path):
    registry, clock = memory_registry()
    registry = replace(registry, blobs=FolderBlobs(tmp_path / "blobs"))
    clock.now = clock.now.replace(year=2100)  # every blob is old at once
    stop = threading.Event()
    told = []

    def collecting():
        while not stop.is_set():
            told.append(collect(registry, ADMIN, keep=timedelta(0)))

    collector = threading.Thread(target=collecting)
    collector.start()
    lost = 0
    try:
        for turn in range(60):
            try:
                digest = put(registry, f"v{turn % 4}", who=ROOT)
                pin(registry, ROOT, digest, "run", clock() + KEEP)
            except (ConflictError, NotFoundError):
                lost += 1  # told, never left half there
            else:
                assert all(b"".join(versions.read_file(registry, ROOT, digest, path)) for path in contents("v"))
                unpin(registry, ROOT, digest, "run")
    finally:
        stop.set()
        collector.join()
    assert told
    assert not check(registry, ADMIN).problems


def test_pins_end_and_are_for_the_future():
    registry, clock = memory_registry()
    digest = put(registry, "a")
    with pytest.raises(SpecError, match=r"a name, such as(.|\n)*a moment that is to come"):
        pin(registry, TRAINER, digest, "", clock())
    pin(registry, TRAINER, digest, "run x", clock() + KEEP)
    unpin(registry, TRAINER, digest, "run x")
    with pytest.raises(NotFoundError, match="holds no pin"):
        unpin(registry, TRAINER, digest, "run x")


def test_another_tenant_keeps_what_both_have():
    registry, clock = memory_registry()
    other = principal("eve", ["admin"], tenant="other")
    digest = put(registry, "a")
    assert put(registry, "a", who=other) == digest
    clock.go(days=1000)
    assert collect(registry, ADMIN).blobs == ()
    assert versions.get(registry, other, digest).collected_us is None
    assert len(collect(registry, other).blobs) == 2
    with pytest.raises(DeniedError):
        collect(registry, TRAINER)


def test_a_folder_of_blobs_puts_right_what_was_spoilt_and_clears_what_killed_writers_left(tmp_path):
    blobs = FolderBlobs(tmp_path)
    digest = blobs.put([b"some", b"thing"])
    place = tmp_path / digest[:2] / digest
    place.chmod(0o644)
    place.write_bytes(b"somethinG")
    assert blobs.put([b"something"]) == digest
    assert place.read_bytes() == b"something"
    (tmp_path / "arriving" / "dead").write_bytes(b"half")
    descriptor = os.open(place, os.O_RDONLY)
    os.close(descriptor)
    assert blobs.clear() == 1
    with pytest.raises(NotFoundError):
        list(blobs.read("../" * 20 + "etc/passwd"))


def test_no_writer_records_a_version_while_blobs_are_removed():
    registry, clock = memory_registry()
    put(registry, "a")
    clock.go(days=1000)
    refused, writers = [], []

    class Removing:
        """A store that lets a writer in before it removes anything."""

        def __init__(self, blobs):
            self.put, self.find, self.each, self.read = blobs.put, blobs.find, blobs.each, blobs.read
            self.blobs = blobs

        def remove(self, digest):
            if not writers:
                writers.append(threading.Thread(target=write))
                writers[0].start()
                writers[0].join(0.3)  # long enough to be done, if nothing kept it out
            self.blobs.remove(digest)

    def write():
        try:
            put(registry, "a")
        except ConflictError:
            refused.append(True)

    collect(replace(registry, blobs=Removing(registry.blobs)), ADMIN)
    writers[0].join()
    assert refused
    assert not check(registry, ADMIN).problems
