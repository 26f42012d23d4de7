"""The C library's heap: holes between what is in it, and their pages given back to the system (glibc, Linux).

Tensors of ever-changing sizes leave holes that later ones do not fit into, so a process grows though what it holds
does not: 16 records of 256 tokens in float32, layers recomputed, took 5.9 GB of which 1.6 were held. Giving back costs
system calls, and pages that are cleared anew, so it is done only once the holes are a good part of what is held.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

STATM = Path("/proc/self/statm")
LEAST_BYTES = 128 << 20
MOST_FRAC = 0.5
"""Holes beyond so much, and beyond this share of what is in use, are given back."""


class _Mallinfo2(ctypes.Structure):
    """As in <malloc.h>, glibc 2.33 and later; bytes, or numbers of blocks."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()  # noqa: SIM905
    ]


class Heap:
    """Looks at the heap's holes and gives them back when they have grown. Elsewhere than on Linux with glibc it does
    nothing: there is nothing to ask."""

    def __init__(self) -> None:
        self._library = _library()
        self._elsewhere: int | None = None
        self._seen = 0

    def tidy(self) -> bool:
        """Give the holes' pages back if there are many; whether that was done. The first time there are always many.

        Asking for the holes takes long where there are a hundred thousand, so it is only done when the process has
        grown by so much that it could matter.
        """
        if self._library is None:
            return False
        held = _resident_bytes()
        if held < self._seen + LEAST_BYTES:
            return False
        self._seen = held
        used = self._used_bytes()
        if self._elsewhere is not None and held - self._elsewhere - used <= max(LEAST_BYTES, MOST_FRAC * used):
            return False
        self._library.malloc_trim(0)
        self._seen = _resident_bytes()
        self._elsewhere = self._seen - used  # code, mapped files, stacks
        return True

    def _used_bytes(self) -> int:
        assert self._library is not None
        told = self._library.mallinfo2()
        return int(told.uordblks + told.hblkhd)


def _library() -> ctypes.CDLL | None:
    """The C library, if it can be asked."""
    try:
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _Mallinfo2
        library.malloc_trim.argtypes = [ctypes.c_size_t]
    except (AttributeError, OSError, TypeError):
        return None
    return library if STATM.is_file() else None


def _resident_bytes() -> int:
    import resource

    return int(STATM.read_text("ascii").split()[1]) * resource.getpagesize()
