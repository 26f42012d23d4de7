"""Runs whose ranks move: refused before anything is spent, stopped and gone on with, read back as they ended."""

import json

import pytest

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.errors import Interrupted, SpecError
from graftwork.pipeline.run import run
from graftwork.pipeline.watch import Quiet

ADALORA = "{method: adalora, rank: 2, init_rank: 4}"
DYNAMIC = "{method: dynamic_lora, rank: 3, cap: 6, dropout: 0.1}"
BOTH = (
    "{method: combined, parts: [{method: adalora, rank: 2, init_rank: 4, targets: [attention]}, "
    "{method: dynamic_lora, rank: 3, cap: 6, targets: [mlp]}]}"
)
RANKS = {ADALORA: 2 * 21, DYNAMIC: 3 * 21, BOTH: 2 * 12 + 3 * 9}


class StopAfter(Quiet):
    """Asks to stop after some steps."""

    def __init__(self, steps):
        self.left, self.said = steps, []

    def say(self, text):
        self.said.append(text)

    def step(self, report):
        self.left -= 1

    def should_stop(self):
        return self.left == 0


def asking(recipe, adapter):
    """The recipe with another adapter, nothing of its own one left."""
    lines = recipe.read_text().splitlines()
    recipe.write_text("\n".join(f"adapter: {adapter}" if line.startswith("adapter") else line for line in lines))
    return recipe


def digest_in(folder):
    return json.loads((folder / "adapter" / "graftwork.json").read_text())["digest"]


@pytest.mark.parametrize("adapter", RANKS, ids=["adalora", "dynamic_lora", "both in one"])
def test_stopped_twice_it_ends_with_the_same_adapter_of_the_rank_asked_for(recipe, tiny_folder, tmp_path, adapter):
    asking(recipe, adapter)
    whole = run(recipe, out=tmp_path / "whole")
    for steps in (3, 9):  # before and after rank is dealt out
        with pytest.raises(Interrupted):
            run(recipe, out=tmp_path / "again", watch=StopAfter(steps))
    last = StopAfter(99)
    again = run(recipe, out=tmp_path / "again", watch=last)
    assert "going on from the checkpoint of step 12" in last.said
    assert digest_in(tmp_path / "again") == digest_in(tmp_path / "whole")
    summary = whole.steps["train"].summary
    assert summary == {**again.steps["train"].summary, "peak_memory_bytes": summary["peak_memory_bytes"]}
    assert sum(summary["ranks"].values()) == RANKS[adapter]
    bank = AdapterBank(load_base(str(tiny_folder), dtype="float32"))
    loaded = bank[bank.load(whole.adapter)]
    assert {key: here.spec.rank for key, here in loaded.placed.items()} == summary["ranks"]
    assert loaded.num_params == summary["num_params"]
    assert whole.evaluation["loss"]["num_records"] > 0
    rows = [json.loads(line) for line in (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()]
    lines = [row for row in rows if row["kind"] == "step"]
    assert [line["step"] for line in lines] == list(range(1, 25))
    assert all((line["penalty"] > 0) == ("adalora" in adapter) for line in lines)


def test_a_schedule_that_does_not_fit_is_refused_with_all_else_before_anything_is_spent(recipe, tmp_path):
    asking(recipe, "{method: dynamic_lora, targets: [atention], allocate_frac: 0.99}")
    settings = ["training.steps=4"]
    with pytest.raises(SpecError) as raised:
        run(recipe, out=tmp_path / "out", settings=settings)
    said = str(raised.value)
    assert "adapter.allocate_frac = 0.99: expected less, in a training of 4 steps." in said
    assert "adapter.targets = 'atention': expected a role or name" in said
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_with_epochs_it_is_refused_once_the_records_are_counted(recipe, tmp_path):
    asking(recipe, "{method: adalora, final_frac: 0.0}")
    settings = ["training.steps=null", "training.epochs=0.1"]
    with pytest.raises(SpecError) as raised:
        run(recipe, out=tmp_path / "out", settings=settings)
    assert "adapter.final_frac = 0.0: expected less, in a training of 1 steps." in str(raised.value)
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_show_tells_the_rank_of_every_layer(recipe, capsys):
    plan = "adapter.rank={kind: explicit, ranks: {q_proj: 5, '*.1.mlp.*': 2}, default: 3}"
    assert called(["show", str(recipe), "--ranks", "--json", "--set", plan]) == 0
    told = json.loads(capsys.readouterr().out)["ranks"]
    assert [layer["layer"] for layer in told["layers"]] == [0, 1, 2]
    assert told["layers"][1]["ranks"] == {
        "attention.q": [5],
        "attention.k": [3],
        "attention.v": [3],
        "attention.out": [3],
        "mlp.gate": [2],
        "mlp.up": [2],
        "mlp.down": [2],
    }
    assert told["total_rank"] == 3 * (5 + 3 * 3) + 2 * 3 * 3 + 3 * 2
    assert told["num_params"] == sum(layer["num_params"] for layer in told["layers"])
    assert told["moves"] == []


def test_show_tells_it_to_people_in_a_narrow_window(recipe, capsys):
    assert called(["show", str(asking(recipe, BOTH)), "--ranks"]) == 0
    said = capsys.readouterr().out
    for part in ("0 to 2", ".gate", "attention", "Ranks sum to 51;", "adalora and dynamic_lora: ranks move in"):
        assert part in said
    assert said.startswith("Rank of every layer "), "the table alone, without the recipe"
    assert max(map(len, said.splitlines())) <= 80


def test_show_refuses_a_plan_that_does_not_fit_without_reading_a_weight(recipe, tiny_folder, capsys):
    weights = tiny_folder / "model.safetensors"
    aside = weights.rename(weights.with_suffix(".aside"))
    try:
        plan = "adapter.rank={kind: by_role, ranks: {mlpp: 4}, default: 2}"
        assert called(["show", str(recipe), "--ranks", "--set", plan]) == 2
        assert called(["show", str(recipe), "--ranks"]) == 0
    finally:
        aside.rename(weights)
    said = capsys.readouterr()
    assert "adapter.rank.ranks.mlpp = 4: expected a role" in said.err
    assert "Did you mean 'mlp'?" in said.err
    assert "Rank of every layer" in said.out
