"""A run on a base in 8 or 4 bits, and its merge, which is refused where the bits would round the adapter away."""

import json

import pytest
import torch
from tests.support.methods import stirred
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_card, write_adapter
from graftwork.base.load import load_base
from graftwork.base.quantised import dequantise, scheme_of
from graftwork.cli.main import called
from graftwork.cli.opening import open_adapter
from graftwork.core.errors import SpecError
from graftwork.pipeline.recipes import read_request
from graftwork.pipeline.run import run

SHORT = ["training.steps=4", "evaluation.answers=2"]


def test_a_run_on_four_bits_says_so_and_comes_back_in_four_bits(recipe, tmp_path):
    run(recipe, out=tmp_path / "run", settings=[*SHORT, "quantised=int4"])
    assert read_card(tmp_path / "run" / "adapter").base.quantised == "int4"
    opened = open_adapter(tmp_path / "run", None, None)
    assert scheme_of(opened.bank.base.model) == "int4"


def test_other_bits_are_another_training(recipe, tmp_path):
    kept = []
    for bits in ("off", "int8"):
        run(recipe, out=tmp_path / "run", settings=[*SHORT, f"quantised={bits}"])
        kept.append(read_card(tmp_path / "run" / "adapter"))
    assert kept[0].base.quantised == "off"
    assert kept[1].base.quantised == "int8"
    assert kept[0].digest != kept[1].digest


def test_a_recipe_that_leaves_the_base_as_it_is_does_not_say_so(recipe):
    plain = read_request(recipe)
    assert read_request(recipe, ["quantised=off"]) == plain


@pytest.fixture
def saved(tmp_path, tiny_folder, lora):
    """`saved(strength, scheme)`: the folder of an adapter made on a tiny base in few bits."""

    def made(strength, scheme):
        bank = AdapterBank(load_base(str(tiny_folder), dtype="float32", quantised=scheme))
        handle = stirred(bank, bank.fresh(lora(), seed=1), strength=strength)
        write_adapter(tmp_path / "adapter", bank[handle], bank.base, {})
        return tmp_path / "adapter"

    return made


@pytest.mark.parametrize(("scheme", "strength"), [("int8", 1e-4), ("int4", 1e-3)])
def test_an_adapter_that_the_bits_round_away_is_not_merged(saved, tmp_path, capsys, scheme, strength):
    adapter = saved(strength, scheme)
    assert called(["merge", str(adapter), str(tmp_path / "merged")]) == 1
    assert "--quantised off" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "merged").exists()


def test_what_is_written_is_what_was_measured(saved, tmp_path, capsys):
    adapter = saved(0.3, "int8")
    assert called(["merge", str(adapter), str(tmp_path / "merged"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["quantised"] == "int8"
    assert told["mean_kl_nats"] <= told["limit_kl_nats"] < told["base_kl_nats"]
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    again = load_base(str(tmp_path / "merged"), dtype="float32", quantised="int8")
    dequantise(again.model)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], tensor, rtol=1e-6, atol=0)


def test_a_merge_into_the_base_as_it_is_can_be_asked_for(saved, tmp_path, capsys):
    adapter = saved(1e-3, "int4")
    assert called(["merge", str(adapter), str(tmp_path / "merged"), "--quantised", "off", "--json"]) == 0
    assert "quantised" not in json.loads(capsys.readouterr().out)


def test_bits_that_there_are_not_are_refused(saved):
    with pytest.raises(SpecError, match="int8"):
        open_adapter(saved(0.3, "int8"), None, None, "int-8")
