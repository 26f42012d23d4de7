"""The pipeline: composes the rooms into a run."""
