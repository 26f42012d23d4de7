"""Isolation certificate: recipes trained alone and together, and whether each ends with the same bytes."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import ConflictError
from graftwork.core.files import write_json
from graftwork.pipeline.metrics import METRICS, rows_in
from graftwork.pipeline.run import RunResult, run_spec
from graftwork.pipeline.together import refuse_unfit, run_together

if TYPE_CHECKING:
    from graftwork.pipeline.spec import RunSpec
    from graftwork.pipeline.watch import Watch

CERTIFICATE = "isolation.json"
ALONE, TOGETHER = "alone", "together"
LIBRARIES = ("graftwork", "torch", "transformers", "safetensors", "numpy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One recipe, both ways.

    Attributes:
        together: digest of the adapter trained with the others; None if it did not come to its end.
        seconds_alone: of its steps.
    """

    name: str
    method: str
    num_steps: int
    alone: str
    together: str | None
    seconds_alone: float

    @property
    def is_same(self) -> bool:
        """Whether both are the same bytes."""
        return self.alone == self.together


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolation:
    """What was compared, and how long the steps of all took."""

    compared: tuple[Compared, ...]
    seconds_together: float

    @property
    def seconds_alone(self) -> float:
        """Of one after another."""
        return sum(one.seconds_alone for one in self.compared)

    @property
    def is_same(self) -> bool:
        """Whether all are."""
        return all(one.is_same for one in self.compared)


def certify_isolation(
    specs: Sequence[RunSpec], *, out: Path, alone: Callable[[str], Watch], together: Callable[[str], Watch]
) -> Isolation:
    """Train each of `specs` alone, then all together, compare, and write the certificate into `out`.

    Args:
        out: a new folder; the runs lie in it too.
        alone: who watches the run of a name, alone; `together` with the others.

    Raises:
        ConflictError: `out` holds something.
    """
    refuse_unfit(specs)
    if out.exists() and any(out.iterdir()):
        raise ConflictError(f"{out} holds something already. Give a new folder, so that nothing old is compared.")
    by_itself = {
        spec.name: run_spec(spec, out=out / ALONE / spec.name, until="train", watch=alone(spec.name)) for spec in specs
    }
    outcomes = run_together(specs, out=out / TOGETHER, evaluates=False, watch_of=together)
    made = Isolation(
        compared=tuple(_compared(spec, by_itself[spec.name], outcomes.results.get(spec.name)) for spec in specs),
        seconds_together=sum(seconds_of_rounds(out / TOGETHER, specs)),
    )
    write_json(out / CERTIFICATE, isolation_data(made))
    return made


def isolation_data(made: Isolation) -> dict[str, Any]:
    """As plain data."""
    return {
        "question": "does each adapter end with the same bytes alone and beside the others?",
        "is_same": made.is_same,
        "adapters": [
            {
                "name": one.name,
                "method": one.method,
                "num_steps": one.num_steps,
                "digest_alone": one.alone,
                "digest_together": one.together,
                "is_same": one.is_same,
                "seconds_alone": one.seconds_alone,
            }
            for one in made.compared
        ],
        "seconds_alone": made.seconds_alone,
        "seconds_together": made.seconds_together,
        "machine": {"processor": platform.machine(), "system": platform.system(), "python": platform.python_version()},
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _compared(spec: RunSpec, alone: RunResult, together: RunResult | None) -> Compared:
    trained = alone.steps["train"].summary
    return Compared(
        name=spec.name,
        method=spec.adapter.method,
        num_steps=trained["num_steps"],
        alone=trained["adapter_digest"],
        together=together.steps["train"].summary["adapter_digest"] if together else None,
        seconds_alone=sum(row["seconds"] for row in _steps(alone.folder)),
    )


def seconds_of_rounds(folder: Path, specs: Sequence[RunSpec]) -> list[float]:
    """Each round's, once: the longest that a run told of that step, since all of a round begin together."""
    by_step: dict[int, float] = {}
    for spec in specs:
        for row in _steps(folder / spec.name):
            by_step[row["step"]] = max(by_step.get(row["step"], 0.0), row["seconds"])
    return list(by_step.values())


def _steps(folder: Path) -> list[dict[str, Any]]:
    return [row for row in rows_in(folder / METRICS) if row["kind"] == "step"]
