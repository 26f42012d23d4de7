"""Adapters on the disk are whole and checked, within a budget, and of one process."""

import threading
import time

import pytest
from tests.support.registries import contents, manifest, memory_registry, put

from graftwork.core.errors import CapacityError, ConflictError, IntegrityError
from graftwork.serving.models.disk import DiskCache, adapter_files

NAME = "adapter_model.safetensors"


@pytest.fixture
def registry():
    return memory_registry()[0]


@pytest.fixture
def cache(registry, tmp_path):
    made = []

    def begin(budget_bytes=10_000):
        made.append(DiskCache(tmp_path / "cache", registry.blobs, budget_bytes=budget_bytes))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def fetched(cache, version, word):
    with cache.held(version, manifest(word)) as folder:
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def whole(word):
    return {NAME: contents(word)[f"adapter/{NAME}"]}


def test_only_the_files_of_the_adapter_come_and_they_are_whole(registry, cache):
    version = put(registry, "one")
    assert fetched(cache(), version, "one") == whole("one")


def test_what_is_wrong_in_the_store_never_gets_a_name(registry, cache, tmp_path):
    version, here = put(registry, "one"), cache()
    note = next(note for note in manifest("one").files if note.path.endswith(NAME))
    kept = registry.blobs.kept[note.digest]
    registry.blobs.kept[note.digest] = (kept[0][:-1], kept[1])
    with pytest.raises(IntegrityError, match="is not what it was"):
        fetched(here, version, "one")
    del registry.blobs.kept[note.digest]
    with pytest.raises(IntegrityError, match="is missing from the store"):
        fetched(here, version, "one")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]
    registry.blobs.kept[note.digest] = kept
    assert fetched(here, version, "one") == whole("one")


@pytest.mark.parametrize("spoil", ["flip", "remove", "add"])
def test_what_was_spoilt_on_the_disk_is_fetched_again(registry, cache, tmp_path, spoil):
    version, here = put(registry, "one"), cache()
    fetched(here, version, "one")
    path = tmp_path / "cache" / version / NAME
    if spoil == "flip":
        path.write_bytes(b"x" + path.read_bytes()[1:])
    elif spoil == "remove":
        path.unlink()
    else:
        (path.parent / "run.pkl").write_bytes(b"code")
    assert fetched(here, version, "one") == whole("one")


def test_the_least_recently_used_leave_but_none_that_is_held(registry, cache, tmp_path):
    words = ("one", "two", "six")
    versions, size = {word: put(registry, word) for word in words}, len(whole("one")[NAME])
    here = cache(2 * size)

    def on_disk():
        return {word for word in words if (tmp_path / "cache" / versions[word]).exists()}

    fetched(here, versions["one"], "one")
    fetched(here, versions["two"], "two")
    with here.held(versions["one"], manifest("one")):
        fetched(here, versions["six"], "six")
        assert on_disk() == {"one", "six"}
        with here.held(versions["six"], manifest("six")), pytest.raises(CapacityError, match=r"Raise models\.disk"):
            fetched(here, versions["two"], "two")
    fetched(here, versions["two"], "two")
    assert on_disk() == {"six", "two"}


def test_what_a_killed_process_left_is_used_if_whole_and_gone_if_half(registry, cache, tmp_path):
    version = put(registry, "one")
    first = cache()
    fetched(first, version, "one")
    first.close()
    half = tmp_path / "cache" / f".{version}-abc"
    half.mkdir()
    del registry.blobs.kept[manifest("one").files[0].digest]
    assert fetched(cache(), version, "one") == whole("one")  # without the store
    assert not half.exists()


def test_it_is_one_process_s_and_nothing_else_s(registry, cache, tmp_path):
    here = cache()
    with pytest.raises(ConflictError, match="another server keeps its adapters there"):
        cache()
    here.close()
    (tmp_path / "cache" / "letters.txt").write_text("mine")
    with pytest.raises(ConflictError, match=r"holds letters\.txt, which is no adapter's"):
        cache()
    assert (tmp_path / "cache" / "letters.txt").read_text() == "mine"


def test_many_threads_at_once_copy_it_once(registry, cache):
    version, here, reads = put(registry, "one"), cache(), []
    read, found, all_ask = registry.blobs.read, [], threading.Event()

    def slowly(digest):
        reads.append(digest)
        all_ask.wait(60)
        return read(digest)

    registry.blobs.read = slowly
    threads = [threading.Thread(target=lambda: found.append(fetched(here, version, "one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    while here._in_use[version] < len(threads):
        time.sleep(0.001)  # until all are at it
    all_ask.set()
    for thread in threads:
        thread.join()
    assert found == [whole("one")] * 8
    assert len(reads) == 1


def test_a_version_without_an_adapter_s_files_is_refused():
    with pytest.raises(IntegrityError, match="holds no files under adapter/"):
        list(adapter_files(manifest("one").model_copy(update={"files": manifest("one").files[1:]})))
