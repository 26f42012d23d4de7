"""Trackers: what they are given, and that none of them can harm a training."""

import socket
from threading import Event

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse, plain
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.trackers import TRACKERS, Tracked, Tracker, tracker_problems
from graftwork.pipeline.tracking import Fed, Tracking

RECIPE = {"name": "a", "base": "b", "data": {"train": "t.jsonl"}, "adapter": {}}


@pytest.fixture
def tracked(tmp_path):
    def told(first_step=0, job="a" * 64):
        settings = {"adapter.rank": "8", "data.system": "long " * 100}
        return Tracked(name="tickets", job=job, folder=tmp_path, settings=settings, first_step=first_step)

    return told


class Remembering:
    """A writer that keeps what it is given, waits when told to, and fails when told to."""

    where = "in memory"

    def __init__(self, fails_at=None, waits_for=None):
        self.given, self.finished, self.fails_at, self.waits_for = [], None, fails_at, waits_for

    def put(self, step, values):
        if self.waits_for:
            self.waits_for.wait()
        if step == self.fails_at:
            raise ConnectionError("no route to host\nand much more")
        self.given.append((step, values))

    def close(self, *, finished):
        self.finished = finished


def fed(writer, tracked):
    return Fed(Tracker(name="memory", needs=(), extra="none", open=lambda _: writer), tracked())


def test_every_number_reaches_a_tracker_under_its_kind_and_nothing_else_does(tracked):
    writer, said = Remembering(), []
    tracking = Tracking([fed(writer, tracked)], said.append)
    tracking.put("step", {"step": 1, "loss_nats": 2.5, "num_tokens": 7, "max_singular_value": None})
    tracking.put("evaluation", {"step": 1, "adapter_nats": float("nan"), "base_nats": 3.0, "is_best": True})
    tracking.close(finished=True)
    assert writer.given == [
        (1, {"step/loss_nats": 2.5, "step/num_tokens": 7.0}),
        (1, {"evaluation/base_nats": 3.0, "evaluation/is_best": 1.0}),
    ]
    assert writer.finished is True
    assert said == ["memory: in memory"]


def test_a_tracker_that_fails_is_told_once_and_the_others_go_on(tracked):
    failing, other, said = Remembering(fails_at=2), Remembering(), []
    tracking = Tracking([fed(failing, tracked), fed(other, tracked)], said.append)
    for step in range(1, 6):
        tracking.put("step", {"step": step, "loss_nats": 1.0})
    tracking.close(finished=False)
    assert [step for step, _ in other.given] == [1, 2, 3, 4, 5]
    assert other.finished is False
    assert sorted(said) == [
        "memory: failed (no route to host); the training goes on without it",
        "memory: in memory",
        "memory: in memory",
    ]


def test_a_tracker_that_cannot_be_opened_is_told(tracked):
    def opened(_):
        raise OSError("the disk is full")

    said = []
    one = Fed(Tracker(name="memory", needs=(), extra="none", open=opened), tracked())
    Tracking([one], said.append).close(finished=True)
    assert said == ["memory: failed (the disk is full); the training goes on without it"]


def test_a_tracker_that_hangs_holds_nothing_up(tracked):
    until, said = Event(), []
    one = fed(Remembering(waits_for=until), tracked)
    for step in range(1000):
        one.put(step, {})
    one.close(finished=True, wait_s=0.05)
    said += one.words()
    until.set()
    assert said[-1] == "memory: has not taken everything within 0.05 s; the training goes on without it"


@pytest.mark.parametrize(
    ("trackers", "said"),
    [
        (["tensorbord"], "trackers = 'tensorbord': expected one of mlflow, tensorboard. Did you mean 'tensorboard'?"),
        (["mlflow", "mlflow"], "trackers = ['mlflow', 'mlflow']: expected each tracker once"),
        (
            "mlflow",
            "trackers = 'mlflow': expected a list. Other tools that show the training too: tensorboard, mlflow.",
        ),
    ],
)
def test_a_tracker_that_there_is_not_is_refused(trackers, said):
    with pytest.raises(SpecError) as caught:
        parse(RunSpec, {**RECIPE, "trackers": trackers})
    assert str(caught.value).startswith(said)


def test_a_package_that_is_missing_is_told_with_the_line_that_installs_it():
    if "absent" not in TRACKERS:
        TRACKERS.add("absent", Tracker(name="absent", needs=("no_such_package",), extra="absent", open=Remembering))
    (problem,) = tracker_problems(["absent"])
    hint = "pip install 'graftwork[absent]', or take it out of the recipe."
    assert str(problem) == f"trackers[0] = 'absent': expected no_such_package to be installed. {hint}"


def test_without_trackers_the_recipe_says_nothing_of_them():
    assert "trackers" not in plain(parse(RunSpec, RECIPE))


@pytest.fixture
def called_addresses(monkeypatch):
    """Addresses that were connected to, on any network."""
    called, connect = [], socket.socket.connect

    def watched(self, address):
        called.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    return called


def scalars_in(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_every_step_once_also_of_a_run_that_went_on(tracked, tmp_path, called_addresses):
    pytest.importorskip("tensorboard", reason="pip install 'graftwork[tensorboard]'")
    for first, last in ((0, 5), (3, 8)):
        writer = TRACKERS["tensorboard"].open(tracked(first))
        for step in range(first + 1, last + 1):
            writer.put(step, {"step/loss_nats": 1.0 / step})
        writer.close(finished=last == 8)
    assert writer.where == f"tensorboard --logdir {tmp_path / 'trackers' / 'tensorboard'}"
    shown = scalars_in(tmp_path / "trackers" / "tensorboard" / ("a" * 16))["step/loss_nats"]
    assert [step for step, _ in shown] == list(range(1, 9))
    assert [value for _, value in shown] == pytest.approx([1 / step for step in range(1, 9)])
    assert called_addresses == []


@pytest.mark.filterwarnings("ignore")  # mlflow's own, of its own libraries
def test_mlflow_keeps_every_step_once_in_the_runs_folder_and_calls_nobody(
    tracked, tmp_path, called_addresses, monkeypatch
):
    for package in TRACKERS["mlflow"].needs:
        pytest.importorskip(package, reason="pip install 'graftwork[mlflow]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for first, last in ((0, 5), (3, 8)):
        writer = TRACKERS["mlflow"].open(tracked(first))
        for step in range(first + 1, last + 1):
            writer.put(step, {"step/loss_nats": 1.0 / step})
        writer.close(finished=last == 8)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'trackers' / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("graftwork").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tickets"
    assert run.data.params["adapter.rank"] == "8"
    history = client.get_metric_history(run.info.run_id, "step/loss_nats")
    assert sorted((one.step, one.value) for one in history) == [(step, 1 / step) for step in range(1, 9)]
    assert called_addresses == []
