"""The heap's holes go back to the system when they have grown, and only then."""

import ctypes

import pytest

from graftwork.core import heap
from graftwork.core.heap import Heap

BLOCK, NUM = 64 << 10, 8192
"""Half a GiB in blocks that the C library takes from its heap."""


@pytest.fixture
def library():
    if heap._library() is None:
        pytest.skip("no C library that could be asked")
    library = ctypes.CDLL(None)
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return library


@pytest.fixture
def held(library):
    """Half a GiB in use; after the test all of it is free."""
    blocks = [library.malloc(BLOCK) for _ in range(NUM)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    yield blocks
    for block in blocks:
        library.free(block)


def free_most(library, blocks):
    """Every fourth stays, so that no hole is at the end."""
    for number in range(len(blocks) - 1, -1, -1):
        if number % 4:
            library.free(blocks.pop(number))


def test_what_holds_nothing_any_more_goes_back(library, held, monkeypatch):
    monkeypatch.setattr(heap, "MOST_FRAC", 0.0)  # however much else this process holds
    one = Heap()
    one.tidy()  # what earlier work left goes now
    before = heap._resident_bytes()
    free_most(library, held)
    assert heap._resident_bytes() > before - (64 << 20), "the library keeps the holes by itself"
    one._seen -= heap.LEAST_BYTES  # as if the process had grown since
    assert one.tidy()
    assert heap._resident_bytes() < before - NUM * BLOCK // 2


def test_what_is_held_is_let_alone(held):
    one = Heap()
    assert one.tidy()
    one._seen -= heap.LEAST_BYTES
    assert not one.tidy()


def test_without_such_a_library_nothing_is_done(monkeypatch):
    monkeypatch.setattr(heap, "_library", lambda: None)
    assert not Heap().tidy()
