"""MLflow: a database in the run's folder, or the server that MLFLOW_TRACKING_URI names.

A training that goes on is found by its job's digest, and steps that are there already are not written twice: the same
job gives the same values. MLflow's own reports on its use are switched off; nobody asked for those.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from graftwork.pipeline.trackers.tracker import TRACKERS, Tracked, Tracker

EXPERIMENT, JOB = "graftwork", "graftwork.job"
LONGEST, MOST = 250, 100
"""Characters of a setting, and settings in one call, that every MLflow server takes."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless they are set already: by itself MLflow waits for a server that is not there for many minutes."""


class _Run:
    def __init__(self, tracked: Tracked) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it is read when mlflow is imported
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # else they tell how they make their tables
        server = os.environ.get("MLFLOW_TRACKING_URI")
        folder = (tracked.folder / "trackers" / "mlflow").resolve()
        if not server:
            folder.mkdir(parents=True, exist_ok=True)
        uri = server or f"sqlite:///{folder / 'mlflow.db'}"
        self.where = f"MLflow at {server}" if server else f"mlflow ui --backend-store-uri {uri}"
        self._client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = self._experiment(None if server else (folder / "artifacts").as_uri())
        found = self._client.search_runs([experiment], f"tags.`{JOB}` = '{tracked.job}'", max_results=1)
        self._goes_on = bool(found)
        self._run: str = found[0].info.run_id if found else self._begun(experiment, tracked)
        self._told_until: dict[str, int] = {}

    def put(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        new = [Metric(name, value, now_ms, step) for name, value in values.items() if step > self._last(name)]
        if new:
            self._client.log_batch(self._run, metrics=new)

    def close(self, *, finished: bool) -> None:
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")

    def _experiment(self, artifacts: str | None) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        number: str = found.experiment_id if found else self._client.create_experiment(name, artifacts)
        return number

    def _begun(self, experiment: str, tracked: Tracked) -> str:
        from mlflow.entities import Param

        run: str = self._client.create_run(experiment, run_name=tracked.name, tags={JOB: tracked.job}).info.run_id
        params = [Param(key, value[:LONGEST]) for key, value in tracked.settings.items()]
        for at in range(0, len(params), MOST):
            self._client.log_batch(run, params=params[at : at + MOST])
        return run

    def _last(self, name: str) -> int:
        """The last step of which the server has this value, asked for once."""
        if name not in self._told_until:
            history = self._client.get_metric_history(self._run, name) if self._goes_on else ()
            self._told_until[name] = max((one.step for one in history), default=-1)
        return self._told_until[name]


TRACKERS.add("mlflow", Tracker(name="mlflow", needs=("mlflow", "sqlalchemy", "alembic"), extra="mlflow", open=_Run))
