"""On what it was tried: versions of what computes, and the kind of machine. No torch."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import graftwork
from graftwork.core.workers import usable_cores

CPUINFO = Path("/proc/cpuinfo")


def versions() -> dict[str, str]:
    """Of this package, Python, and the libraries that compute or write."""
    libraries = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
    return {
        "graftwork": graftwork.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }


def machine() -> dict[str, Any]:
    """The kind of machine, without anything that names this one."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": usable_cores(),
    }


def _processor() -> str:
    lines = CPUINFO.read_text("utf-8").splitlines() if CPUINFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
