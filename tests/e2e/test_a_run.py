"""The main job on a tiny base, from the command line and from Python."""

import json
from pathlib import Path

import pytest
import torch
from tests.e2e.conftest import graftwork

import graftwork as gw
from graftwork.cli.main import called


def test_a_run_leaves_what_the_architecture_says(finished):
    folder = finished[0] / "run"
    for name in (
        "recipe.yaml",
        "run.json",
        "metrics.jsonl",
        "evaluation.json",
        "data/train.jsonl",
        "data/evaluation.jsonl",
        "data/report.json",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "adapter/graftwork.json",
        "adapter/README.md",
        "report.html",
    ):
        assert (folder / name).is_file(), name


def test_json_output_is_one_object_with_every_step(finished):
    told = finished[1]
    assert list(told["steps"]) == ["check", "prepare", "train", "evaluate"]
    assert told["steps"]["train"]["num_steps"] == 24
    assert Path(told["adapter"]).is_dir()


def test_training_lowers_the_held_out_loss(finished):
    assert finished[1]["steps"]["evaluate"]["loss"]["change_frac"] < -0.25


def test_run_again_does_nothing_again(finished):
    folder = finished[0]
    before = (folder / "run" / "run.json").read_bytes()
    again = graftwork("run", folder / "tiny.yaml", "--out", folder / "run")
    assert again.returncode == 0
    assert "train: done already" in again.stderr
    assert (folder / "run" / "run.json").read_bytes() == before


def test_a_changed_recipe_trains_again_and_keeps_the_old_adapter(finished, run_copy, capsys):
    words = ["train", str(finished[0] / "tiny.yaml"), "--out", str(run_copy), "--set", "training.steps=2"]
    old = json.loads((run_copy / "adapter" / "graftwork.json").read_text())["digest"]
    assert called(words) == 0
    assert "is kept at" in capsys.readouterr().err
    kept = json.loads((run_copy / "superseded" / "adapter-1" / "graftwork.json").read_text())
    assert kept["digest"] == old
    assert json.loads((run_copy / "adapter" / "graftwork.json").read_text())["digest"] != old


def test_a_spoiled_output_is_made_again(finished, run_copy):
    spoiled = run_copy / "evaluation.json"
    spoiled.write_text("{}")
    assert called(["run", str(finished[0] / "tiny.yaml"), "--out", str(run_copy)]) == 0
    assert json.loads(spoiled.read_text())["loss"]["num_records"] > 0


def test_the_effective_recipe_fed_back_asks_for_the_same_run(finished, capsys):
    assert called(["show", str(finished[0] / "run" / "recipe.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == finished[1]["recipe_digest"]


def test_the_same_recipe_twice_gives_the_same_bytes(finished, recipe, tmp_path):
    assert called(["train", str(recipe), "--out", str(tmp_path / "again")]) == 0
    digests = [
        json.loads((folder / "adapter" / "graftwork.json").read_text())["digest"]
        for folder in (finished[0] / "run", tmp_path / "again")
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("preset", ["regulated", "no-regret", "rl", "light"])
def test_every_preset_trains(preset, recipe, tmp_path):
    recipe.write_text("\n".join(line for line in recipe.read_text().splitlines() if not line.startswith("adapter")))
    settings = [f"preset={preset}", "training.steps=2", "training.batch_size=2", "training.learning_rate=1e-3"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert called(["train", str(recipe), "--out", str(tmp_path / "out"), *words]) == 0


def test_from_python(finished, tiny_folder):
    base = gw.load_base(str(tiny_folder), dtype="float32")
    bank = gw.AdapterBank(base)
    tiny = bank.load(finished[0] / "run" / "adapter")
    tokens_BT = torch.arange(20).view(2, 10)
    with torch.no_grad():
        plain = base.model(tokens_BT).logits
        with bank.route([tiny, None]):
            mixed = base.model(tokens_BT).logits
    assert not torch.equal(mixed[0], plain[0])
    assert torch.equal(mixed[1], plain[1])


def test_chat_answers_with_base_and_adapter(finished, capsys):
    words = ["chat", str(finished[0] / "run"), "--prompt", "say ab 1", "--max-new-tokens", "4", "--json"]
    assert called(words) == 0
    (reply,) = json.loads(capsys.readouterr().out)["answers"]
    assert reply.keys() == {"prompt", "base", "adapter"}
    assert reply["base"] != reply["adapter"]


def test_an_exported_adapter_gives_the_same_logits_in_peft(finished, tiny_folder, tmp_path):
    from peft import AutoPeftModelForCausalLM

    assert called(["export", str(finished[0] / "run"), str(tmp_path / "out")]) == 0
    names = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    theirs = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    base = gw.load_base(str(tiny_folder), dtype="float32")
    bank = gw.AdapterBank(base)
    tokens_BT = torch.arange(20).view(2, 10)
    with torch.no_grad(), bank.route([bank.load(finished[0] / "run" / "adapter")] * 2):
        ours = base.model(tokens_BT).logits
        torch.testing.assert_close(theirs(tokens_BT).logits, ours, rtol=0, atol=1e-4)


def test_a_merged_model_is_proved_and_loads_anywhere(finished, tmp_path, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert called(["merge", str(finished[0] / "run"), str(tmp_path / "merged"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["max_logit_difference"] <= 1e-4
    assert told["agreement_frac"] == 1.0
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").num_parameters() > 0
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template


def test_prepare_needs_no_training(recipe, tmp_path):
    assert called(["prepare", str(recipe), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "data" / "report.json").read_text())
    assert report["train"]["num_records"] + report["evaluation"]["num_records"] == 36
    assert not (tmp_path / "out" / "adapter").exists()


def test_chat_takes_the_system_message_of_the_training(recipe, tmp_path, capsys):
    recipe.write_text(recipe.read_text().replace("train: records.jsonl", "train: records.jsonl, system: Echo."))
    words = ["--set", "training.steps=1", "--out", str(tmp_path / "out")]
    assert called(["train", str(recipe), *words]) == 0
    capsys.readouterr()
    told = []
    for more in ([], ["--system", "Other."], ["--system", ""]):
        assert called(["chat", str(tmp_path / "out"), "--prompt", "x", "--max-new-tokens", "1", "--json", *more]) == 0
        told.append(json.loads(capsys.readouterr().out)["system"])
    assert told == ["Echo.", "Other.", ""]
