"""A base is loaded whole, frozen and known, or not at all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.tiny_base import FAMILIES

from graftwork.base.load import facts_from_config, facts_of, load_base
from graftwork.base.locate import locate
from graftwork.core.errors import IntegrityError, NotFoundError

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path, llama_folder):
    """A copy to change."""
    return Path(shutil.copytree(llama_folder, tmp_path / "base"))


def rewrite(folder, change):
    tensors = load_file(folder / WEIGHTS)
    save_file(change(tensors), folder / WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize("family", [*FAMILIES, "mixtral"])
def test_facts_need_no_weights(folder_of, load, family):
    base = load(family, "float32")  # torch has no grouped product of experts in float64
    assert facts_from_config(folder_of(family)) == base.facts == facts_of(base.model)
    assert base.facts.num_layers == 3
    assert base.facts.context_tokens == 512
    assert base.facts.num_params == sum(p.numel() for p in base.model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_facts_are_those_of_the_modules(load, family):
    base = load(family)
    for place in base.facts.places:
        module = base.model.get_submodule(place.name)
        x = torch.zeros(1, place.in_features, dtype=torch.float64)
        assert module(x).shape == (1, place.out_features)
        assert place.role != "other"
    assert [place.name for place in base.facts.places if place.layer is None] == [base.facts.places[-1].name]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_a_loaded_base_is_frozen_in_the_type_asked(load, dtype):
    base = load("gpt2", dtype)
    assert {p.dtype for p in base.model.parameters()} == {getattr(torch, dtype)}
    assert not any(p.requires_grad for p in base.model.parameters())
    assert not any(module.training for module in base.model.modules())


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "lm_head.weight", "model.norm.weight"])
def test_a_base_that_lacks_a_tensor_is_refused_by_name(folder, name):
    rewrite(folder, lambda tensors: {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        load_base(str(folder))


def test_a_base_with_a_tensor_of_another_shape_is_refused(folder):
    rewrite(folder, lambda tensors: {**tensors, "model.norm.weight": torch.ones(31, dtype=torch.float64)})
    with pytest.raises(IntegrityError):
        load_base(str(folder))


def test_a_base_with_a_tensor_too_many_is_refused(folder):
    rewrite(folder, lambda tensors: {**tensors, "model.layers.9.mlp.up_proj.weight": torch.ones(2)})
    with pytest.raises(IntegrityError, match=r"first 'model\.layers\.9\.mlp\.up_proj\.weight'"):
        load_base(str(folder), dtype="float64")


def test_code_that_comes_with_a_base_is_never_run_not_even_for_a_yes(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    told = {"auto_map": {"AutoConfig": "conf.Odd", "AutoModelForCausalLM": "conf.Odd"}, "model_type": "odd"}
    (folder / "config.json").write_text(json.dumps({**config, **told}))
    (folder / "conf.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    program = f"from graftwork.base.load import load_base; load_base({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", program], input="y\n" * 9, capture_output=True, text=True, check=False)
    assert "IntegrityError" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "ran").exists()


def test_a_torn_base_is_refused(folder):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="truncated"):
        load_base(str(folder))


@pytest.mark.parametrize("model_type", ["no-such-model", None])
def test_a_config_of_no_model_we_know_is_refused(folder, model_type):
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "model_type": model_type}))
    with pytest.raises(IntegrityError):
        facts_from_config(folder)
    with pytest.raises(IntegrityError):
        load_base(str(folder))


def test_a_base_without_a_tokenizer_is_refused(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(IntegrityError, match="tokenizer"):
        load_base(str(folder))


def test_the_stop_tokens_of_the_generation_config_count(folder):
    path = folder / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [3, 4]}))
    base = load_base(str(folder))
    assert base.chat.stop_ids == {3, 4, base.chat.tokenizer.eos_token_id}


def test_a_base_may_be_called_by_another_name(load):
    base = load()
    assert base.called("mine").ref == "mine"
    assert base.called("mine").model is base.model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_digest_of_its_tensors_sees_one_bit(load, dtype):
    base = load("llama", dtype)
    before = base.tensor_digest()
    assert load("llama", dtype).tensor_digest() == before
    with torch.no_grad():
        weight = base.model.model.norm.weight
        weight[3] = torch.nextafter(weight[3], weight.new_tensor(9.0))
    assert base.tensor_digest() != before


def test_a_folder_is_found_near_the_recipe_first(tmp_path, folder):
    assert locate("base", near=folder.parent) == folder.resolve()
    with pytest.raises(IntegrityError, match=r"holds no config\.json"):
        locate(str(tmp_path))


@pytest.mark.parametrize("ref", ["./gone", "/gone", "~/gone", "gone", "a/b/c"])
def test_a_base_that_is_not_there_is_named_without_asking_the_hub(ref):
    with pytest.raises(NotFoundError) as raised:
        locate(ref)
    assert str(raised.value).startswith(f"base {ref!r}: no such folder, and no Hugging Face id (owner/name).")


def test_a_bundled_base_that_is_misspelt_is_offered_the_nearest():
    with pytest.raises(NotFoundError, match=r"Did you mean 'smollm2-135m-instruct'\?"):
        locate("bundled:smollm-135m-instruct")
