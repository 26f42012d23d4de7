"""Trackers: other tools that show a training. One more is one more file here and one more import line."""

from graftwork.pipeline.trackers import mlflow, tensorboard  # noqa: F401
from graftwork.pipeline.trackers.tracker import TRACKERS, Tracked, Tracker, Writer, tracker_problems

__all__ = ["TRACKERS", "Tracked", "Tracker", "Writer", "tracker_problems"]
