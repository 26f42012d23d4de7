"""Full tuning, from recipe to model folder: resumable, beside an untouched base, refused where it makes no sense."""

import json
import shutil

import pytest
import torch
from tests.e2e.conftest import graftwork
from transformers import AutoModelForCausalLM

from graftwork.base.fingerprint import fingerprint
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.errors import IntegrityError, Interrupted, SpecError
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.full import to_train
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run, run_spec
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work

FULL = ["training.steps=6", "training.learning_rate=1e-3", "evaluation.answers=2"]


NO_FACTORS = "Full tuning has no low-rank factors whose singular values could be held."


class StopAfter(Quiet):
    """Asks to stop after some steps."""

    def __init__(self, steps):
        self.left = steps

    def step(self, report):
        self.left -= 1

    def should_stop(self):
        return self.left == 0


def told_full(recipe):
    """The recipe, one line of it changed."""
    recipe.write_text(recipe.read_text().replace("adapter: {rank: 4, dropout: 0.1}", "adapter: {method: full}"))
    return recipe


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, finished):
    """The recipe of a full tuning and its result; not to be written to."""
    folder = tmp_path_factory.mktemp("full")
    recipe = told_full(folder / shutil.copy(finished[0] / "tiny.yaml", folder / "tiny.yaml"))
    shutil.copy(finished[0] / "records.jsonl", folder)
    return recipe, run(recipe, out=folder / "run", settings=FULL)


def weights(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def first_step(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return next(row for row in rows if "loss_nats" in row and row["step"] == 1)


def refused(recipe, *more):
    with pytest.raises(SpecError) as raised:
        read_request(recipe, more)
    return str(raised.value)


def test_it_learns_and_writes_a_model_that_transformers_opens(tuned, tiny_folder):
    result = tuned[1]
    trained = result.steps["train"].summary
    assert trained["num_params"] == trained["num_base_params"]
    assert result.evaluation["loss"]["change_frac"] < -0.05
    model = AutoModelForCausalLM.from_pretrained(result.adapter)
    before = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    for (name, now), (_, was) in zip(model.named_parameters(), before.named_parameters(), strict=True):
        assert not torch.equal(now, was), f"{name} was not trained"


def test_the_base_is_not_touched_in_memory_or_on_disk(tuned, tiny_folder):
    recipe, _ = tuned
    before, files = fingerprint(tiny_folder), weights(tiny_folder)
    work = Work(spec=read_request(recipe, FULL), folder=RunFolder(recipe.parent / "run"), watch=Quiet())
    digest = work.base.tensor_digest()
    own = load_base(str(work.base_folder), dtype="float32")
    trainee = to_train(work, own)
    with torch.no_grad():
        for tensor in trainee.params.values():
            tensor.add_(1)
    assert own.tensor_digest() != digest
    assert work.base.tensor_digest() == digest
    assert (fingerprint(tiny_folder), weights(tiny_folder)) == (before, files)


def test_a_base_that_others_use_stays_as_it_is(tuned, tiny_folder, tmp_path):
    shared = load_base(str(tiny_folder), dtype="float32")
    before, params = shared.tensor_digest(), list(shared.model.parameters())
    done = run_spec(read_request(tuned[0], FULL), out=tmp_path / "run", base=shared)
    assert shared.tensor_digest() == before
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in params)
    assert done.steps["train"].summary["model_digest"] == tuned[1].steps["train"].summary["model_digest"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_stopped_and_started_again_it_ends_with_the_same_model(tuned, tmp_path, dtype):
    recipe, _ = tuned
    settings = [*FULL, f"dtype={dtype}", "training.checkpoint_every=2"]
    whole = run(recipe, out=tmp_path / "whole", settings=settings, until="train")
    for steps in (1, 3):
        with pytest.raises(Interrupted):
            run(recipe, out=tmp_path / "cut", settings=settings, until="train", watch=StopAfter(steps))
    again = run(recipe, out=tmp_path / "cut", settings=settings, until="train")
    assert weights(again.adapter) == weights(whole.adapter)
    assert again.steps["train"].summary["model_digest"] == whole.steps["train"].summary["model_digest"]
    steps = [json.loads(line).get("step") for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert [step for step in steps if step is not None][-1] == 6


def test_it_keeps_the_order_and_loss_of_the_adapters_run(tuned, finished):
    """The first step's loss is the base's own on the same records: an adapter starts as nothing."""
    full, adapter = (first_step(folder) for folder in (tuned[1].folder, finished[0] / "run"))
    assert full["num_targets"] == adapter["num_targets"]
    assert full["loss_nats"] == pytest.approx(adapter["loss_nats"], rel=1e-6)


def test_what_is_done_is_not_done_again(tuned):
    recipe, result = tuned
    again = run(recipe, out=result.folder, settings=FULL)
    assert {name: done.seconds for name, done in again.steps.items()} == {n: d.seconds for n, d in result.steps.items()}


def test_a_changed_model_is_refused(tuned, tmp_path):
    shutil.copytree(tuned[1].folder, tmp_path / "run")
    config = tmp_path / "run" / "model" / "config.json"
    config.write_text(config.read_text().replace('"hidden_act": "silu"', '"hidden_act": "gelu"'))
    done = graftwork("chat", tmp_path / "run", "--prompt", "say ab 3")
    assert done.returncode == 2
    assert "its card says" in done.stderr


def test_chat_answers_with_base_and_tuned_model(tuned, capsys):
    assert called(["chat", str(tuned[1].folder), "--prompt", "say ab 3", "--max-new-tokens", "4", "--json"]) == 0
    (reply,) = json.loads(capsys.readouterr().out)["answers"]
    assert reply.keys() == {"prompt", "base", "tuned"}


@pytest.mark.parametrize("words", [("export",), ("merge",)])
def test_what_needs_an_adapter_says_that_this_is_a_model(tuned, tmp_path, capsys, words):
    assert called([*words, str(tuned[1].folder), str(tmp_path / "out")]) == 2
    assert "is a whole model, ready for other tools as it is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_its_model_is_a_base_for_adapters(tuned, recipe, tmp_path):
    settings = [f"base={tuned[1].adapter}", "training.steps=2", "evaluation.answers=2"]
    done = run(recipe, out=tmp_path / "on-it", settings=settings)
    assert done.evaluation["loss"]["base"]["mean"] == pytest.approx(
        tuned[1].evaluation["loss"]["adapter"]["mean"], rel=1e-5
    )


def test_everything_that_makes_no_sense_is_refused_at_once(recipe):
    said = refused(told_full(recipe), "dtype=float16", "quantised=int8", "training.spectral_cap=2.0")
    assert said.splitlines() == [
        "quantised = 'int8': expected off. Full tuning moves the weights themselves.",
        "dtype = 'float16': expected bfloat16 or float32. Float16 has no room for the gradients of all weights.",
        f"training.spectral_cap = 2.0: expected null. {NO_FACTORS}",
    ]


def test_a_rate_for_adapters_is_not_taken_for_one(recipe):
    recipe.write_text(told_full(recipe).read_text().replace("learning_rate: 3e-3, ", ""))
    assert refused(recipe) == (
        "training.learning_rate = 0.0005: expected a rate of the recipe's own with adapter.method: full. The preset's "
        "is for adapters, ten times too high for all weights. 1e-5 to 1e-4 are usual."
    )


def test_a_changed_base_file_ends_the_training(tuned, tmp_path, tiny_folder):
    shutil.copytree(tiny_folder, tmp_path / "base")

    class Spoils(Quiet):
        def step(self, report):
            path = tmp_path / "base" / "config.json"
            path.write_text(path.read_text().replace('"silu"', '"gelu"'))

    with pytest.raises(IntegrityError, match="changed while training"):
        run(tuned[0], out=tmp_path / "run", settings=[*FULL, f"base={tmp_path / 'base'}"], watch=Spoils())
    assert not (tmp_path / "run" / "model").exists()
