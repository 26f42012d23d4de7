"""Threads that OpenMP keeps for a thread of Python, and giving them back.

Each thread of Python that computes gets helpers of its own from OpenMP, which stay for the next product. When all of
them, idle ones too, are more than there are cores, OpenMP puts helpers to sleep right after a product instead of having
them look out for the next one for a while: a step of a model, hundreds of small products, takes half as long again. So
whoever computes once in a while, beside a thread that computes all the time, gives its helpers back.

Source: libgomp's documentation, "GOMP_SPINCOUNT" (https://gcc.gnu.org/onlinedocs/libgomp/), and
`omp_pause_resource_all` of OpenMP 5.0, section 3.2.44.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch

HARD = 2
"""omp_pause_hard: helpers end, and are made anew when they are needed."""

T = TypeVar("T")


@cache
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch has loaded; None where it is another one than GNU's."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*")):
        return ctypes.CDLL(str(path))
    return None


def give_back() -> None:
    """Let the helpers of the calling thread end, where there are any that can be told to."""
    pause = getattr(openmp(), "omp_pause_resource_all", None)
    if pause is not None:
        pause(HARD)


def given_back(work: Callable[[], T]) -> T:
    """What `work` gives, whose helpers end with it."""
    try:
        return work()
    finally:
        give_back()
