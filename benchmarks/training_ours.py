"""Our trainer for `training.py`: a prepared run, trained as `graftwork train` does, and paced as its peers are.

Its data is prepared before, as peers get theirs in tokens; writing metrics and the adapter, and the checks that the
base has not moved, are part of what is run.
"""

import json
import sys
from pathlib import Path

import torch
from training_pace import Pace

from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet
from graftwork.training.report import StepReport

WARM_UP = 2


class Paced(Quiet):
    """A watch that holds each step until the driver wants it. The last step of the recipe is the last that it wants."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def step(self, report: StepReport) -> None:
        """Wait for the driver."""
        self.pace.lost(report.loss_nats)
        self.pace.stepped()


def main() -> None:
    """Train as told by the first argument."""
    told = json.loads(sys.argv[1])
    pace = Pace(WARM_UP)
    torch.set_num_threads(told["threads"])
    run(Path(told["recipe"]), out=told["out"], settings=told["settings"], until="train", watch=Paced(pace), workers=1)
    pace.ended()


if __name__ == "__main__":
    main()
