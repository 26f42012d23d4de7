"""The doctor at work: well recipes pass for every method, and what is broken on purpose is told."""

import json
from dataclasses import replace

import pytest
import torch
from tests.e2e.conftest import graftwork
from tests.support.tiny_base import CHATML, make_base

from graftwork.adapters.method import METHODS
from graftwork.pipeline.doctor import probe as probing
from graftwork.pipeline.doctor.examine import doctor
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.watch import Quiet

MODEL_CHECKS = ("trained", "start", "gradients", "cuts", "saving", "cost")


def examined(recipe, tmp_path, *settings):
    spec = read_request(recipe, settings)
    made = doctor(spec, out=tmp_path / "run", watch=Quiet(), told=lambda *_: None)
    return {one.check: one.finding for one in made.made}


def told(found):
    return {name: (finding.verdict, finding.found) for name, finding in found.items() if finding.verdict == "failed"}


def test_a_well_recipe_passes_and_the_run_goes_on_from_its_data(recipe, tmp_path):
    done = graftwork("doctor", recipe, "--out", tmp_path / "run", "--json")
    data = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert data["is_well"]
    verdicts = {one["check"]: one["verdict"] for one in data["checks"]}
    assert {name: verdicts[name] for name in MODEL_CHECKS} == dict.fromkeys(MODEL_CHECKS, "passed")
    assert verdicts["data"] == "warned"  # 36 records are few
    again = graftwork("run", recipe, "--out", tmp_path / "run", "--json", "--set", "training.steps=1")
    assert "prepare: done already" in again.stderr


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"lora_experts"}))
def test_every_method_passes(recipe, tmp_path, method):
    text = recipe.read_text().replace("{rank: 4, dropout: 0.1}", f"{{method: {method}}}")
    if "rank" in METHODS[method].spec.model_fields:
        text = text.replace(f"{{method: {method}}}", f"{{method: {method}, rank: 4}}")
    recipe.write_text(text)
    found = examined(recipe, tmp_path)
    assert not told(found)
    assert found["gradients"].verdict == found["cuts"].verdict == found["saving"].verdict == "passed"


def test_full_tuning_passes_and_says_what_does_not_apply(recipe, tmp_path):
    recipe.write_text(recipe.read_text().replace("{rank: 4, dropout: 0.1}", "{method: full}"))
    found = examined(recipe, tmp_path)
    assert not told(found)
    assert found["start"].verdict == found["saving"].verdict == "does not apply"
    assert found["gradients"].verdict == "passed"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_number_formats_pass_too(recipe, tmp_path, dtype):
    assert not told(examined(recipe, tmp_path, f"dtype={dtype}"))


def test_a_finished_run_of_other_data_stays_as_it_is(recipe, run_copy, tmp_path):
    before = (run_copy / "run.json").read_bytes()
    spec = read_request(recipe, ["data.max_tokens=64"])
    made = doctor(spec, out=run_copy, watch=Quiet(), told=lambda *_: None)
    assert made.is_passing
    assert (run_copy / "run.json").read_bytes() == before
    assert (run_copy / "adapter").is_dir()


def test_a_template_without_a_stop_is_told(recipe, tmp_path):
    broken = CHATML.replace("+ '<|im_end|>\n' ", "+ '\n' ")
    assert broken != CHATML
    make_base(tmp_path / "broken", template=broken)
    recipe.write_text(
        recipe.read_text().replace(recipe.read_text().split("base: ")[1].split("\n")[0], str(tmp_path / "broken"))
    )
    found = examined(recipe, tmp_path)
    assert found["template"].verdict == "failed"
    assert "do not end with a stop token that is learned" in found["template"].found
    done = graftwork("doctor", recipe, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "never learn to stop" in " ".join(done.stdout.split())


def test_a_tensor_that_is_frozen_by_mistake_is_told(recipe, tmp_path, monkeypatch):
    begun = probing.adapter_to_train

    def one_frozen(work, stage):
        trainee = begun(work, stage)
        next(iter(trainee.params.values())).requires_grad_(False)
        return trainee

    monkeypatch.setattr(probing, "adapter_to_train", one_frozen)
    found = examined(recipe, tmp_path)
    assert found["gradients"].verdict == "failed"
    assert "1 of" in found["gradients"].found


def test_an_adapter_that_is_frozen_whole_is_told_and_not_a_traceback(recipe, tmp_path, monkeypatch):
    begun = probing.adapter_to_train

    def all_frozen(work, stage):
        trainee = begun(work, stage)
        for tensor in trainee.params.values():
            tensor.requires_grad_(False)
        return trainee

    monkeypatch.setattr(probing, "adapter_to_train", all_frozen)
    assert examined(recipe, tmp_path)["gradients"].verdict == "failed"


def test_a_loss_that_weighs_records_and_not_targets_is_told(recipe, tmp_path, monkeypatch):
    right = probing.accumulated

    def mean_of_means(parts):
        (part,) = parts
        own = part.step.targets[part.index] * len(part.step.micros)
        return right([replace(part, step=replace(part.step, targets=(own,)))])

    monkeypatch.setattr(probing, "accumulated", mean_of_means)
    found = examined(recipe, tmp_path)
    assert found["cuts"].verdict == "failed"


def test_a_base_that_moves_is_told(recipe, tmp_path, monkeypatch):
    right = probing.set_rate

    def and_the_base(optimizer, rate):
        right(optimizer, rate)
        param = held[0]
        with torch.no_grad():
            param.add_(1e-3)

    held = []
    made = probing.probe_of

    def remembered(patient):
        found = made(patient)
        held.append(next(iter(found.bank.host.model.parameters())))
        return found

    monkeypatch.setattr(probing, "probe_of", remembered)
    monkeypatch.setattr(probing, "set_rate", and_the_base)
    found = examined(recipe, tmp_path)
    assert found["trained"].verdict == "failed"
    assert "a step moved it" in found["trained"].found


def test_an_adapter_file_that_loses_bits_is_told(recipe, tmp_path, monkeypatch):
    from graftwork.adapters import files

    right = files.write_adapter

    def coarser(folder, adapter, base, provenance):
        with torch.no_grad():
            for _, tensor in adapter.trained():
                tensor.mul_(1.001)
        card = right(folder, adapter, base, provenance)
        with torch.no_grad():
            for _, tensor in adapter.trained():
                tensor.div_(1.001)
        return card

    monkeypatch.setattr(files, "write_adapter", coarser)
    assert examined(recipe, tmp_path)["saving"].verdict == "failed"
