"""A recipe's options of regulation, from its file to the adapter and to what is written beside it."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tests.e2e.conftest import graftwork

from graftwork.core.errors import Interrupted, SpecError
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet

ALL = ["training.l2=1e-3", "training.ema_decay=0.9", "training.optimizer.b_rate_ratio=4", "training.spectral_cap=0.6"]


class StopsAt(Quiet):
    """Asks to stop after a step."""

    def __init__(self, step):
        self.at, self.now = step, 0

    def step(self, report):
        self.now = report.step

    def should_stop(self):
        return self.now == self.at


def spectrum(folder):
    return [json.loads(line) for line in (folder / "spectrum.jsonl").read_text().splitlines()]


def digest(result):
    return result.steps["train"].summary["adapter_digest"]


@pytest.mark.parametrize("options", [ALL, ["dtype=float16"], ["dtype=float16", *ALL]], ids=["all", "half", "half, all"])
def test_a_stopped_run_goes_on_to_the_same_adapter_and_the_same_rows(recipe, tmp_path, options):
    told = {"settings": [*options, "training.watch_every=5"], "until": "train"}
    whole = run(recipe, out=tmp_path / "whole", **told)
    for step in (7, 13):
        with pytest.raises(Interrupted):
            run(recipe, out=tmp_path / "parts", watch=StopsAt(step), **told)
    parts = run(recipe, out=tmp_path / "parts", **told)
    assert digest(parts) == digest(whole)
    assert [{**row, "job": ""} for row in spectrum(tmp_path / "parts")] == [
        {**row, "job": ""} for row in spectrum(tmp_path / "whole")
    ]


def test_the_last_rows_are_of_the_adapter_as_it_is_written(recipe, tmp_path):
    done = run(recipe, out=tmp_path / "run", settings=[*ALL, "training.watch_every=10"], until="train")
    rows = spectrum(tmp_path / "run")
    written = {row["place"]: row for row in rows if row["written"]}
    assert list(dict.fromkeys(row["step"] for row in rows)) == [10, 20, 24]
    assert all(row["step"] == 24 for row in written.values())
    tensors = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    config = json.loads((tmp_path / "run" / "adapter" / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / config["r"]
    for place, row in written.items():
        a, b = (tensors[f"base_model.model.{place}.lora_{x}.weight"].double() for x in "AB")
        sigmas = torch.linalg.svdvals(scale * b @ a)
        assert row["update"] == pytest.approx(sigmas[0].item(), rel=1e-6)
        assert row["frobenius"] == pytest.approx(math.hypot(*sigmas.tolist()), rel=1e-6)
        assert row["down"] <= 0.6
        assert row["up"] <= 0.6
    told = done.steps["train"].summary["updates"]
    assert told["largest_update"] == max(row["update"] for row in written.values())
    assert told["num_updates"] == len(written) == len(tensors) // 2


def test_how_often_is_looked_changes_no_adapter_and_is_no_reason_to_train_again(recipe, tmp_path):
    usual = run(recipe, out=tmp_path / "run", until="train")
    assert {row["step"] for row in spectrum(tmp_path / "run")} == {4, 8, 12, 16, 20, 24}
    again = run(recipe, out=tmp_path / "run", settings=["training.watch_every=1"], until="train")
    assert again.steps["train"] == usual.steps["train"]
    assert digest(run(recipe, out=tmp_path / "other", settings=["training.watch_every=1"], until="train")) == digest(
        usual
    )


def test_a_person_is_told_of_the_updates(recipe, tmp_path):
    done = graftwork("train", recipe, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "Largest singular value of the updates: " in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("adapter", "setting", "said"),
    [
        ("{method: ia3}", "training.spectral_cap=2", "training.spectral_cap = 2.0: expected null. ia3 has no matrices"),
        ("{method: ia3}", "training.optimizer.b_rate_ratio=4", "b_rate_ratio = 4.0: expected 1. ia3 has no factor B"),
        ("{method: lora_xs, rank: 4}", "training.optimizer.b_rate_ratio=4", "lora_xs has no factor B"),
        (
            "{method: prompt_tuning}",
            "training.watch_every=4",
            "watch_every = 4: expected null. prompt_tuning has no low",
        ),
        (
            "{method: bottleneck, bottleneck_features: 4}",
            "training.watch_every=4",
            "bottleneck has no low-rank updates",
        ),
        (
            "{method: adalora, rank: 2}",
            "training.ema_decay=0.9",
            "ema_decay = 0.9: expected null. adalora changes other",
        ),
        ("{method: delta_lora, rank: 2}", "training.ema_decay=0.9", "delta_lora changes other tensors between steps"),
    ],
)
def test_an_option_that_a_method_has_no_use_for_is_refused(recipe, tmp_path, adapter, setting, said):
    recipe.write_text(recipe.read_text().replace("adapter: {rank: 4, dropout: 0.1}", f"adapter: {adapter}"))
    run(recipe, out=tmp_path / "run", until="prepare")  # that the same adapter was looked at before makes no difference
    with pytest.raises(SpecError) as raised:
        run(recipe, out=tmp_path / "run", settings=[setting], until="prepare")
    assert said in str(raised.value)
