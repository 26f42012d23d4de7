"""The held-out loss while training: it decides the same however often the run is killed, and disturbs nothing."""

import json
import os
import signal

import pytest
import torch
from tests.e2e.conftest import graftwork
from tests.e2e.test_interruptions import digest_in, started, wait_for_steps

from graftwork.core.errors import Interrupted, SpecError, WorkError
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.prepare import prepare
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run
from graftwork.pipeline.train import train_adapter
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work

RATE = "training.learning_rate=0.05"
"""So high that the held-out loss goes up and down."""
STOPPING = [
    RATE,
    "training.steps=150",
    "training.schedule={kind: constant}",
    "training.evaluate_every=3",
    "training.checkpoint_every=7",
    "training.early_stopping={patience: 9}",
    "training.keep=best",
]


class StopAfter(Quiet):
    """Asks to stop after some steps, and keeps what it is told."""

    def __init__(self, steps=-1):
        self.left, self.looks, self.said = steps, [], []

    def say(self, text):
        self.said.append(text)

    def step(self, report):
        self.left -= 1

    def looked(self, look):
        self.looks.append(look)

    def should_stop(self):
        return self.left == 0


def rows_of(folder, kind):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def words(settings):
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory, tiny_folder):
    """A folder with a recipe, and beside it the run of it that was never interrupted."""
    from tests.e2e.conftest import RECIPE

    folder = tmp_path_factory.mktemp("early")
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in ("ab", "cd", "ef") for n in range(12)]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tiny.yaml").write_text(RECIPE.format(base=tiny_folder))
    watch = StopAfter()
    result = run(folder / "tiny.yaml", out=folder / "whole", settings=STOPPING, until="train", watch=watch)
    return folder, result.steps["train"].summary, watch


def test_a_training_that_gains_nothing_ends_early_and_says_so(stopped_early):
    folder, summary, watch = stopped_early
    losses = [look.adapter_nats for look in watch.looks]
    assert summary["ended_early"]
    assert summary["num_steps"] == 3 * len(losses) < 150
    assert min(losses) == losses[-10] < min(losses[-9:]), "nine looks without a gain, and not one more"
    assert summary["kept_step"] == summary["num_steps"] - 27
    assert f"the held-out loss has stopped falling: ended after step {summary['num_steps']} of 150" in watch.said
    assert len(rows_of(folder / "whole", "step")) == summary["num_steps"]


def test_the_adapter_of_the_best_look_is_the_one_of_a_training_that_ends_there(stopped_early, tmp_path):
    folder, summary, _ = stopped_early
    steps = [RATE, "training.schedule={kind: constant}", f"training.steps={summary['kept_step']}"]
    run(folder / "tiny.yaml", out=tmp_path / "out", settings=steps, until="train")
    assert digest_in(tmp_path / "out") == digest_in(folder / "whole")
    card = json.loads((folder / "whole" / "adapter" / "graftwork.json").read_text())
    assert card["provenance"]["num_steps"] == summary["kept_step"]


def test_killed_at_any_moment_it_ends_at_the_same_step_with_the_same_adapter(stopped_early, tmp_path):
    folder, summary, _ = stopped_early
    out, recipe = tmp_path / "killed", tmp_path / "tiny.yaml"
    settings = [("steps: 24", "steps: 150"), ("learning_rate: 3e-3", "learning_rate: 0.05")]
    text = (folder / "tiny.yaml").read_text()
    for old, new in [*settings, ("checkpoint_every: 4", "checkpoint_every: 7, evaluate_every: 3, keep: best")]:
        text = text.replace(old, new)
    text = text.replace("keep: best", "keep: best, early_stopping: {patience: 9}, schedule: {kind: constant}")
    recipe.write_text(text.replace("records.jsonl", str(folder / "records.jsonl")))
    for rows in (5, summary["num_steps"] + 3):
        with started(recipe, out) as process:
            wait_for_steps(process, out, rows)
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "adapter").exists()
    again = graftwork("train", recipe, "--out", out, "--json")
    assert again.returncode == 0, again.stderr
    assert digest_in(out) == digest_in(folder / "whole")
    told = json.loads(again.stdout)["steps"]["train"]
    assert (told["num_steps"], told["kept_step"]) == (summary["num_steps"], summary["kept_step"])
    for row, other in zip(rows_of(out, "evaluation"), rows_of(folder / "whole", "evaluation"), strict=True):
        assert {**row, "job": ""} == {**other, "job": ""}


def test_stopped_at_every_few_steps_it_ends_the_same(stopped_early, tmp_path):
    folder, summary, _ = stopped_early
    for steps in (1, 2, 9, 13, 30):
        with pytest.raises(Interrupted):
            run(folder / "tiny.yaml", out=tmp_path / "out", settings=STOPPING, watch=StopAfter(steps), until="train")
    result = run(folder / "tiny.yaml", out=tmp_path / "out", settings=STOPPING, until="train")
    memory = {"peak_memory_bytes": 0}
    assert {**result.steps["train"].summary, **memory} == {**summary, **memory}
    assert rows_of(tmp_path / "out", "evaluation") == rows_of(folder / "whole", "evaluation")


def test_a_best_checkpoint_that_was_tampered_with_is_refused_in_words(stopped_early, tmp_path):
    folder, summary, _ = stopped_early
    with pytest.raises(Interrupted):
        run(
            folder / "tiny.yaml",
            out=tmp_path / "out",
            settings=STOPPING,
            until="train",
            watch=StopAfter(summary["num_steps"] - 4),
        )
    (best,) = (tmp_path / "out").glob(f"checkpoints/*/step-{summary['kept_step']:08d}.safetensors")
    best.write_bytes(best.read_bytes()[:-1] + b"\0")
    words_ = ["train", str(folder / "tiny.yaml"), "--out", str(tmp_path / "out"), *words(STOPPING)]
    done = graftwork(*words_)
    assert done.returncode == 2
    assert "It held the best adapter. Remove" in done.stderr
    assert "Traceback" not in done.stderr


def test_looking_changes_nothing(recipe, tmp_path):
    digests = {}
    for every in (0, 1, 5):
        settings = [f"training.evaluate_every={every}"]
        run(recipe, out=tmp_path / str(every), settings=settings, until="train")
        digests[every] = digest_in(tmp_path / str(every))
    assert len(set(digests.values())) == 1
    assert rows_of(tmp_path / "0", "evaluation") == []
    assert len(rows_of(tmp_path / "1", "evaluation")) == 24


@pytest.mark.parametrize(
    "more", [[], ["training.ema_decay=0.9"], ["training.packing=off", "training.gradient_checkpointing=true"]], ids=str
)
def test_the_last_look_sees_what_the_evaluation_sees(recipe, tmp_path, more):
    watch = StopAfter()
    result = run(recipe, out=tmp_path / "out", watch=watch, settings=["training.evaluation_records=100", *more])
    (look,), loss = watch.looks, result.evaluation["loss"]
    assert look.num_records == loss["num_records"]
    assert look.base_nats == pytest.approx(loss["base"]["mean"], rel=1e-5)  # float32, other rows side by side
    assert look.adapter_nats == pytest.approx(loss["adapter"]["mean"], rel=1e-5)


def test_a_run_looks_with_nothing_said_and_leaves_its_curves(finished):
    told = finished[0] / "run"
    (look,) = rows_of(told, "evaluation")
    assert look["step"] == 24
    assert look["adapter_nats"] < look["base_nats"]
    assert "<script" not in (told / "curves.html").read_text("utf-8")
    assert (told / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_loss_that_is_no_number_leaves_a_checkpoint_from_before_that_can_be_gone_on_from(recipe, tmp_path):
    class Spoiling(Quiet):
        def step(self, report):
            if report.step == 10:  # from now on the base says nothing that is a number
                with torch.no_grad():
                    work.base.model.get_output_embeddings().weight.fill_(float("nan"))

    spec = read_request(recipe, ["training.evaluate_every=5"])
    with RunFolder(tmp_path / "out") as folder:
        work = Work(spec=spec, folder=folder, watch=Spoiling())
        with pytest.raises(WorkError) as raised:
            train_adapter(work, prepare(work))
    said = str(raised.value)
    assert "must be finite" in said
    assert "The last checkpoint is kept." in said
    kept = sorted(path.name for path in (tmp_path / "out").glob("checkpoints/*/*"))
    assert kept == ["step-00000004.safetensors", "step-00000008.safetensors"]
    assert len(rows_of(tmp_path / "out", "step")) == 10
    settings = ["training.evaluate_every=5"]
    watch = StopAfter()
    run(recipe, out=tmp_path / "out", settings=settings, until="train", watch=watch)
    assert "going on from the checkpoint of step 8" in watch.said
    run(recipe, out=tmp_path / "whole", settings=settings, until="train")
    assert digest_in(tmp_path / "out") == digest_in(tmp_path / "whole")


def test_methods_whose_schedule_takes_all_steps_refuse_to_end_early(recipe, tmp_path):
    settings = ["adapter={method: adalora}", "training.early_stopping={}", "training.keep=best"]
    recipe.write_text("\n".join(line for line in recipe.read_text().splitlines() if not line.startswith("adapter")))
    with pytest.raises(SpecError) as raised:
        run(recipe, out=tmp_path / "out", settings=settings)
    hint = "The schedule of adalora takes all steps; before its end the adapter is another than asked for."
    assert str(raised.value).splitlines() == [
        f"training.early_stopping = 'a mapping': expected off. {hint}",
        f"training.keep = 'best': expected last. {hint}",
    ]


@pytest.mark.parametrize(("settings", "goes_on"), [([], True), (["training.keep=best"], False)], ids=["last", "best"])
def test_other_held_out_records_make_it_another_training_only_if_they_decide(recipe, tmp_path, settings, goes_on):
    for name in ("here", "there"):
        rows = [{"prompt": f"{name} {n}", "completion": name * 2} for n in range(6)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = [*settings, f"data.evaluation={tmp_path / 'here.jsonl'}"]
    with pytest.raises(Interrupted):
        run(recipe, out=tmp_path / "out", settings=first, watch=StopAfter(9))
    watch = StopAfter()
    result = run(recipe, out=tmp_path / "out", settings=[*first[:-1], first[-1].replace("here", "there")], watch=watch)
    assert ("going on from the checkpoint of step 9" in watch.said) == goes_on
    assert watch.looks[-1].base_nats == pytest.approx(result.evaluation["loss"]["base"]["mean"], rel=1e-5)
