"""A run with trackers: they show what the metrics say, also after an interruption, and are no part of the result."""

import json

import pytest
from tests.e2e.test_looks import StopAfter, digest_in, rows_of

from graftwork.core.errors import Interrupted
from graftwork.pipeline.run import run

BOTH = ["trackers=[tensorboard, mlflow]", "training.evaluate_every=8"]


@pytest.fixture(scope="module", autouse=True)
def _installed():
    for package in ("tensorboard", "mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package, reason="pip install 'graftwork[tensorboard,mlflow]'")


@pytest.mark.filterwarnings("ignore")  # mlflow's own, of its own libraries
def test_both_show_every_step_and_look_of_a_run_that_was_interrupted(recipe, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(recipe, out=out, settings=BOTH, watch=StopAfter(11))
    watch = StopAfter()
    run(recipe, out=out, settings=BOTH, watch=watch, until="train")
    assert f"tensorboard: tensorboard --logdir {out / 'trackers' / 'tensorboard'}" in watch.said
    losses = {row["step"]: row["loss_nats"] for row in rows_of(out, "step")}
    looks = {row["step"]: row["adapter_nats"] for row in rows_of(out, "evaluation")}
    assert (len(losses), len(looks)) == (24, 3)
    assert {"step/loss_nats": pytest.approx(losses), "evaluation/adapter_nats": pytest.approx(looks)} == events(out)
    assert {"step/loss_nats": losses, "evaluation/adapter_nats": looks} == logged(out)
    run(recipe, out=tmp_path / "without", settings=BOTH[1:], until="train")
    assert digest_in(out) == digest_in(tmp_path / "without")


def events(out):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (out / "trackers" / "tensorboard").iterdir()
    shown = EventAccumulator(str(folder))
    shown.Reload()
    tags = ("step/loss_nats", "evaluation/adapter_nats")
    return {tag: {one.step: one.value for one in shown.Scalars(tag)} for tag in tags}


def logged(out):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{(out / 'trackers' / 'mlflow' / 'mlflow.db').resolve()}")
    (one,) = client.search_runs([client.get_experiment_by_name("graftwork").experiment_id])
    assert one.info.status == "FINISHED"
    assert json.loads(one.data.params["adapter.rank"]) == 4
    told = {}
    for tag in ("step/loss_nats", "evaluation/adapter_nats"):
        history = client.get_metric_history(one.info.run_id, tag)
        told[tag] = {metric.step: metric.value for metric in history}
        assert len(told[tag]) == len(history), "no step is there twice"
    return told
