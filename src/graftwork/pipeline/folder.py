"""The folder of a run: which steps are done, from what, and what they left. No torch."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from graftwork.core.digests import digest, digest_of_file
from graftwork.core.errors import ConflictError, IntegrityError
from graftwork.core.files import read_json, write_json, write_text

STATE = "run.json"
FORMAT = 1
LOCK = ".lock"
HALF_WRITTEN = re.compile(r"\.(?:(?P<file>.+)\.|(?:adapter|model)-)[a-z0-9_]{8}")
"""What a process that was killed leaves of a file, or of a folder with an adapter or a model, that it was writing."""
FIRST_WRITTEN = (STATE, "recipe.yaml", "metrics.jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A step that is done.

    Attributes:
        inputs: digest of all that the step depends on.
        outputs: digest of each file it left, by path within the run's folder.
        summary: what it has to say, as plain data.
    """

    inputs: str
    outputs: Mapping[str, str]
    summary: Mapping[str, Any]
    seconds: float


class RunFolder:
    """A run's folder and its `run.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK)

    def __enter__(self) -> RunFolder:
        """Take the folder for this process.

        Raises:
            ConflictError: another process works in it, or it holds files of somebody else, which a run would replace.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ConflictError(f"{self.path} cannot be a run's folder: a file is in the way.") from error
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConflictError(f"{self.path}: another process works in this run's folder. Wait for it.") from error
        torn = [half for folder in (self.path, self.path / "data") for half in half_written(folder)]
        found = sorted(p.name for p in self.path.iterdir() if p.name != LOCK and p not in torn)
        if found and STATE not in found:
            self._lock.release()
            raise ConflictError(
                f"{self.path} is no run's folder: it holds {found[0]} and no {STATE}. A run would replace what lies "
                "there; give a new folder, or an empty one."
            )
        for half in torn:
            if half.is_dir():
                shutil.rmtree(half)
            else:
                half.unlink()
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def steps(self) -> dict[str, Done]:
        """Every step on record."""
        if not (self.path / STATE).is_file():
            return {}
        state: Any = read_json(self.path / STATE)
        try:
            if state["format"] != FORMAT:
                raise ValueError(f"format {state['format']}")
            return {name: _done(step) for name, step in state["steps"].items()}
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise IntegrityError(f"{self.path / STATE} is not as it was written. Move the folder away.") from error

    def still_done(self, name: str, inputs: Mapping[str, Any]) -> Done | None:
        """The step `name`, if it was done from the same inputs and all it left is as it was left."""
        done = self.steps().get(name)
        if done is None or done.inputs != digest(dict(inputs)):
            return None
        for relative, expected in done.outputs.items():
            path = self.path / relative
            if not path.is_file() or digest_of_file(path) != expected:
                return None
        return done

    def record(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Iterable[str],
        summary: Mapping[str, Any],
        began_s: float,
    ) -> Done:
        """Put on record that step `name` is done."""
        done = Done(
            inputs=digest(dict(inputs)),
            outputs={relative: digest_of_file(self.path / relative) for relative in sorted(outputs)},
            summary=dict(summary),
            seconds=round(time.monotonic() - began_s, 3),
        )
        self._write({**self.steps(), name: done})
        return done

    def forget(self, *names: str) -> None:
        """Take steps off the record: what they left is not there any more."""
        left = {name: done for name, done in self.steps().items() if name not in names}
        self._write(left)

    def _write(self, steps: Mapping[str, Done]) -> None:
        fields = {step: asdict(d) for step, d in steps.items()}
        signed = {step: {**told, "digest": digest(told)} for step, told in fields.items()}
        write_json(self.path / STATE, {"format": FORMAT, "steps": signed})

    def keep_recipe(self, text: str) -> None:
        """Write the effective recipe."""
        write_text(self.path / "recipe.yaml", text)

    def set_aside(self, relative: str) -> Path | None:
        """Move what lies at `relative` into `superseded/`; None when nothing does. Nothing is ever overwritten."""
        path = self.path / relative
        if not path.exists():
            return None
        number = 1
        while (kept := self.path / "superseded" / f"{Path(relative).name}-{number}").exists():
            number += 1
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.rename(kept)
        return kept


def half_written(folder: Path) -> list[Path]:
    """What killed processes left in `folder` of what they were writing; nobody reads it. None of anybody else's."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if (told := HALF_WRITTEN.fullmatch(path.name)) is None:
            continue
        name = told["file"]
        if name is None or name in FIRST_WRITTEN or (folder / name).exists():
            found.append(path)
    return found


def _done(step: Mapping[str, Any]) -> Done:
    told = {key: value for key, value in step.items() if key != "digest"}
    done = Done(**told)
    if step["digest"] != digest(told) or not (isinstance(done.outputs, dict) and isinstance(done.summary, dict)):
        raise ValueError("a step that is not as it was recorded")
    return done
