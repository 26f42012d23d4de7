"""TensorBoard: event files in the run's folder. Nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graftwork.pipeline.trackers.tracker import TRACKERS, Tracked, Tracker

FLUSH_S = 10
"""What a killed run may lose of its events; they are written again when it goes on."""


class _Events:
    def __init__(self, tracked: Tracked) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = tracked.folder / "trackers" / "tensorboard"
        self.where = f"tensorboard --logdir {folder}"
        purge = tracked.first_step + 1  # what was written of steps that are done again is not shown
        self._writer: Any = SummaryWriter(str(folder / tracked.job[:16]), purge_step=purge, flush_secs=FLUSH_S)
        settings = "\n".join(f"    {key}: {value}" for key, value in tracked.settings.items())
        self._writer.add_text("recipe", settings, tracked.first_step)

    def put(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, *, finished: bool) -> None:
        self._writer.close()


TRACKERS.add("tensorboard", Tracker(name="tensorboard", needs=("tensorboard",), extra="tensorboard", open=_Events))
