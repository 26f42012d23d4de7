"""Stages: one adapter goes through several trainings, as if each were a run of its own; resumable in any of them."""

import json
import shutil

import pytest
from tests.e2e.conftest import RECIPE

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_card
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.errors import IntegrityError, Interrupted, SpecError
from graftwork.data.batches import evenly
from graftwork.data.store import TokenStore
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import checked_and_prepared, run
from graftwork.pipeline.stages import Stage
from graftwork.pipeline.train import train_adapter
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work
from graftwork.training.job import TrainJob, layout_of
from graftwork.training.loop import train
from graftwork.training.optimizers import optimizer_for

STAGES = """\
stages:
- name: reading
  data: {train: pages.jsonl, learn: all}
  training: {steps: 5, learning_rate: 1e-3}
- name: answering
  data: {train: records.jsonl}
  training: {steps: 6, schedule: {kind: cosine}}
"""
OWN = "data: {{train: records.jsonl, evaluation: {{fraction: 0.2}}}}"
SHARED = "data: {{evaluation: {{fraction: 0.2}}}}"


class StopAfter(Quiet):
    """Asks to stop after some steps, and remembers what was said."""

    def __init__(self, steps=-1):
        self.left, self.said = steps, []

    def say(self, text):
        self.said.append(text)

    def step(self, report):
        self.left -= 1

    def should_stop(self):
        return self.left == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_folder):
    """Pages, records and three recipes: with stages, and each stage alone."""
    at = tmp_path_factory.mktemp("staged")
    words = ("ab", "cd", "ef")
    rows = [{"prompt": f"say {word} {n}", "completion": word * 2} for word in words for n in range(12)]
    (at / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pages = [{"text": f"page {n} of {word}: {word * (1 + n % 4)}"} for word in words for n in range(10)]
    (at / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    shared = RECIPE.replace("steps: 24, ", "").format(base=tiny_folder)
    short = shared.replace("answers: 6", "answers: 2")
    own = OWN.format()
    (at / "staged.yaml").write_text(short.replace(own, SHARED.format()) + STAGES)
    first = short.replace("train: records.jsonl", "train: pages.jsonl, learn: all")
    first = first.replace("learning_rate: 3e-3", "steps: 5, learning_rate: 1e-3")
    (at / "first.yaml").write_text(first)
    second = short.replace("learning_rate: 3e-3", "steps: 6, learning_rate: 3e-3, schedule: {kind: cosine}")
    (at / "second.yaml").write_text(second)
    return at


@pytest.fixture(scope="module")
def staged(folder):
    """A run of both stages; not to be written to."""
    return run(folder / "staged.yaml", out=folder / "staged")


@pytest.fixture
def copy(staged, tmp_path):
    """The finished run, to be spoilt."""
    return shutil.copytree(staged.folder, tmp_path / "copy")


def losses(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["loss_nats"] for row in rows if "loss_nats" in row]


def test_the_second_stage_is_a_training_of_the_first_ones_adapter_written_by_hand(folder, staged):
    spec = read_request(folder / "second.yaml").training
    bank = AdapterBank(load_base(read_request(folder / "second.yaml").base, dtype="float32"))
    handle = bank.load(staged.folder / "stages" / "1-reading" / "adapter")
    started = bank[handle].digest()
    params = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
    records = TokenStore(staged.folder / "data" / "train", staged.steps["prepare"].summary["train"]["files"])
    job = TrainJob(
        bank=bank,
        handle=handle,
        split=bank.base.halves,
        params=params,
        optimizer=optimizer_for(params, spec),
        records=records,
        lengths=records.lengths.tolist(),
        mixture=evenly(len(records)),
        spec=spec,
        num_steps=6,
        layout=layout_of(bank, spec),
    )
    by_hand = [report.loss_nats for report in train(job, lambda: 0.0)]
    assert losses(staged.folder) == by_hand
    assert read_card(staged.adapter).digest == bank[handle].digest() != started


def test_two_stages_are_one_run_and_another_that_goes_on_from_its_adapter(folder, staged):
    first = run(folder / "first.yaml", out=folder / "first", until="train")
    spec = read_request(folder / "second.yaml")
    with RunFolder(folder / "second") as of_run:
        work = Work(spec=spec, folder=of_run, watch=Quiet())
        _, prepared = checked_and_prepared(work)
        digest = first.steps["train"].summary["adapter_digest"]
        second = train_adapter(work, prepared, Stage(name="x", start=first.adapter, start_digest=digest))
    assert read_card(staged.folder / "stages" / "1-reading" / "adapter").digest == digest
    assert staged.steps["train"].summary["adapter_digest"] == second.summary["adapter_digest"] != digest
    assert losses(staged.folder) == losses(folder / "second")
    assert losses(staged.folder / "stages" / "1-reading") == losses(folder / "first")


def test_the_second_stage_is_not_what_it_would_be_alone(folder, staged):
    alone = run(folder / "second.yaml", out=folder / "alone", until="train")
    assert alone.steps["train"].summary["adapter_digest"] != staged.steps["train"].summary["adapter_digest"]


def test_each_stage_learns_its_own_targets(staged):
    reading, answering = staged.steps["stages/1-reading/prepare"].summary, staged.steps["prepare"].summary
    assert reading["train"]["num_targets"] > 0.9 * reading["train"]["num_tokens"] - reading["train"]["num_rows"]
    assert answering["train"]["num_targets"] < 0.5 * answering["train"]["num_tokens"]


def test_the_card_says_through_which_stages_the_adapter_went(staged):
    reading, answering = read_card(staged.adapter).provenance["stages"]
    assert (reading["name"], reading["num_steps"], reading["start"]) == ("reading", 5, None)
    assert (answering["name"], answering["num_steps"], answering["start"]) == ("answering", 6, reading["adapter"])
    assert answering["adapter"] == read_card(staged.adapter).digest
    prepared = staged.steps["stages/1-reading/prepare"].summary
    digests = {side: prepared[side]["digest"] for side in ("train", "evaluation")}
    assert reading["data"] == {**digests, "rows": reading["data"]["rows"]}
    assert answering["data"]["rows"] not in (reading["data"]["rows"], "")
    assert read_card(staged.folder / "stages" / "1-reading" / "adapter").provenance["stages"] == [reading]


@pytest.mark.parametrize("steps", [3, 5, 8], ids=["in the first", "between both", "in the second"])
def test_stopped_in_a_stage_it_goes_on_there_to_the_same_bytes(folder, staged, tmp_path, steps):
    with pytest.raises(Interrupted):
        run(folder / "staged.yaml", out=tmp_path / "run", until="train", watch=StopAfter(steps))
    assert not (tmp_path / "run" / "adapter").exists()
    watch = StopAfter()
    again = run(folder / "staged.yaml", out=tmp_path / "run", until="train", watch=watch)
    assert again.steps["train"].summary["adapter_digest"] == staged.steps["train"].summary["adapter_digest"]
    assert ("train: done already" in watch.said) == (steps >= 5)
    assert any("going on from the checkpoint" in line for line in watch.said) == (steps != 5)
    assert losses(tmp_path / "run") == losses(staged.folder)


def test_what_is_done_is_not_done_again(folder, copy):
    watch = StopAfter()
    again = run(folder / "staged.yaml", out=copy, watch=watch)
    assert watch.said.count("train: done already") == 2
    assert not any(line.startswith("loading") for line in watch.said)
    assert "evaluate" in again.steps


def test_another_rate_in_the_second_stage_leaves_the_first_as_it_is(folder, copy):
    recipe = folder / "other.yaml"
    recipe.write_text((folder / "staged.yaml").read_text().replace("kind: cosine", "kind: cosine, warmup_frac: 0.5"))
    watch = StopAfter()
    run(recipe, out=copy, until="train", watch=watch)
    assert watch.said.count("train: done already") == 1
    assert (copy / "superseded" / "adapter-1").is_dir()


def test_another_rate_in_the_first_stage_trains_both_anew(folder, copy, staged):
    recipe = folder / "other.yaml"
    recipe.write_text((folder / "staged.yaml").read_text().replace("learning_rate: 1e-3", "learning_rate: 2e-3"))
    watch = StopAfter()
    again = run(recipe, out=copy, until="train", watch=watch)
    assert "train: done already" not in watch.said
    assert again.steps["train"].summary["adapter_digest"] != staged.steps["train"].summary["adapter_digest"]


def test_a_first_stage_that_was_tampered_with_is_trained_again(folder, copy, staged):
    tensors = copy / "stages" / "1-reading" / "adapter" / "adapter_model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"\0\0\0\1")
    again = run(folder / "staged.yaml", out=copy, until="train")
    assert again.steps["train"].summary["adapter_digest"] == staged.steps["train"].summary["adapter_digest"]
    assert (copy / "stages" / "1-reading" / "superseded" / "adapter-1").is_dir()


def test_an_adapter_that_changed_between_the_stages_is_refused(folder, staged, tmp_path):
    with RunFolder(tmp_path / "run") as of_run:
        work = Work(spec=read_request(folder / "second.yaml"), folder=of_run, watch=Quiet())
        _, prepared = checked_and_prepared(work)
        stage = Stage(name="x", start=staged.folder / "stages" / "1-reading" / "adapter", start_digest="0" * 64)
        with pytest.raises(IntegrityError, match="Restore it"):
            train_adapter(work, prepared, stage)


def test_data_of_a_later_stage_is_looked_at_before_the_first_is_trained(folder, tmp_path):
    recipe = folder / "bad.yaml"
    told = (folder / "staged.yaml").read_text()
    recipe.write_text(told.replace("{train: records.jsonl}", "{train: records.jsonl, layout: text}"))
    with pytest.raises(SpecError) as raised:
        run(recipe, out=tmp_path / "run")
    assert any(problem.path.startswith("stages[1].data") for problem in raised.value.problems), str(raised.value)
    assert not (tmp_path / "run" / "stages" / "1-reading" / "metrics.jsonl").exists()


def test_the_commands_show_stages_and_open_the_adapter(folder, staged, capsys):
    assert called(["show", str(folder / "staged.yaml")]) == 0
    assert "- name: reading" in capsys.readouterr().out
    assert called(["chat", str(staged.folder), "--prompt", "say ab 3", "--max-new-tokens", "2", "--json"]) == 0
    assert called(["run", str(folder / "staged.yaml"), "--out", str(staged.folder)]) == 0
    assert "Stage 1-reading: 5 steps on 24 rows" in capsys.readouterr().out
