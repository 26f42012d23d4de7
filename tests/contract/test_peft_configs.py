"""Every key of PEFT's configs has a meaning here, and configs as they are found are read whole or refused by key."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import peft
import pytest
import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig
from safetensors.torch import save_file

from graftwork.adapters.file_form import FORMS
from graftwork.adapters.files import read_adapter
from graftwork.adapters.peft_adalora import KEYS as ADALORA_KEYS
from graftwork.adapters.peft_adalora import PeftAdaLora
from graftwork.adapters.peft_config import OFF, WITHOUT_EFFECT
from graftwork.adapters.peft_ia3 import KEYS as IA3_KEYS
from graftwork.adapters.peft_ia3 import PeftIa3
from graftwork.adapters.peft_lora import KEYS as LORA_KEYS
from graftwork.adapters.peft_lora import PeftLora
from graftwork.adapters.peft_prompts import PREFIX_KEYS, PROMPT_KEYS, PeftPrefix, PeftPrompt
from graftwork.core.errors import SpecError

HERE = Path(__file__).parent / "peft_configs"
GOLDEN = Path(__file__).parents[1] / "golden" / "peft_configs.json"
FOUND = sorted(path.stem for path in HERE.glob("*.json"))
FAMILY = dict(re.findall(r"^\| (\w+) \| .* \| (\w+) \|$", (HERE / "README.md").read_text(), re.MULTILINE))

TARGETS = {"target_modules": ["q_proj"]}
CLASSES = {
    "LORA": (LoraConfig, PeftLora, LORA_KEYS, TARGETS),
    "IA3": (IA3Config, PeftIa3, IA3_KEYS, {**TARGETS, "feedforward_modules": []}),
    "ADALORA": (AdaLoraConfig, PeftAdaLora, ADALORA_KEYS, {**TARGETS, "total_step": 10}),
    "PREFIX_TUNING": (PrefixTuningConfig, PeftPrefix, PREFIX_KEYS, {"num_virtual_tokens": 3}),
    "PROMPT_TUNING": (PromptTuningConfig, PeftPrompt, PROMPT_KEYS, {"num_virtual_tokens": 3}),
}
ASKED = {
    "bias": "all", "lora_bias": True, "modules_to_save": ["lm_head"], "layer_replication": [[0, 2]],
    "trainable_token_indices": [1], "alora_invocation_tokens": [5], "arrow_config": {"top_k": 3}, "use_qalora": True,
    "use_bdlora": {"nblocks": 2}, "loftq_config": {"loftq_bits": 4}, "eva_config": {"rho": 2.0},
    "corda_config": {"corda_method": "ipm"}, "lora_ga_config": {"direction": "x"}, "kasa_config": {"beta": 1},
    "velora_config": {"num_groups": 2}, "monteclora_config": {"num_samples": 2}, "megatron_config": {"a": 1},
    "ensure_weight_tying": True, "enable_lora": [True], "merge_weights": True, "use_dora": True,
    "target_parameters": ["mlp.experts"], "layers_to_transform": [0], "layers_pattern": "layers",
    "alpha_pattern": {"q_proj": 3}, "postprocess_past_key_value_function": "some.code",
}  # fmt: skip
"""For each key that asks for more than its method, a value that does."""


@pytest.fixture(scope="module")
def facts(load):
    return load("llama", "float32").facts


def written(kind):
    """A config as PEFT writes it, from its own class."""
    cls, _, _, told = CLASSES[kind]
    return json.loads(json.dumps(cls(task_type="CAUSAL_LM", **told).to_dict(), default=lambda v: sorted(v)))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_key_of_the_class_is_read_or_without_effect_or_refused_when_it_asks(kind):
    cls, spec, keys, _ = CLASSES[kind]
    known = [spec.model_fields.keys(), WITHOUT_EFFECT | keys.without_effect, OFF.keys() | keys.off.keys()]
    unknown = {f.name for f in dataclasses.fields(cls)} - set().union(*known)
    assert unknown == set(), f"PEFT {peft.__version__} has keys without a meaning here"


@pytest.mark.parametrize("kind", CLASSES)
def test_a_config_of_the_class_with_nothing_asked_is_read(kind, facts):
    assert FORMS[kind].asked(written(kind), facts, {}, None)


@pytest.mark.parametrize(
    ("kind", "key"), [(kind, key) for kind, (_, _, keys, _) in CLASSES.items() for key in {**OFF, **keys.off}]
)
def test_a_key_that_asks_for_more_is_refused_by_name(kind, key, facts):
    config = {**written(kind), key: ASKED[key]}
    with pytest.raises(SpecError, match=f"adapter_config.json: {key} = "):
        FORMS[kind].asked(config, facts, {}, None)


def outcome(name, base, tmp_path):
    """What becomes of a config: the places that it is read for, or the words in which it is refused."""
    folder = tmp_path / name
    folder.mkdir()
    shutil.copyfile(HERE / f"{name}.json", folder / "adapter_config.json")
    config = json.loads((HERE / f"{name}.json").read_text())
    try:
        form = FORMS[config["peft_type"]]
        found = form.asked(config, base.facts, {}, None)
    except (KeyError, SpecError):
        save_file({"nothing": torch.zeros(1)}, folder / "adapter_model.safetensors")
        with pytest.raises(SpecError) as raised:
            read_adapter(folder, base)
        return str(raised.value).splitlines()
    made = {n: torch.full(shape, 0.5) for n, shape in form.names(found).items()}
    save_file(made, folder / "adapter_model.safetensors")
    placed = read_adapter(folder, base).adapter.placed
    assert placed.keys() == found.keys()
    assert all((tensor == 0.5).any() or name == "kept_R" for h in placed.values() for name, tensor in h.params.items())
    methods = {here.method.name for here in placed.values()}
    return f"{' and '.join(methods)} at {len(placed)} places"


def test_configs_as_they_are_found_are_read_whole_or_refused_word_for_word(tmp_path, load):
    bases = {family: load(family, "float32") for family in set(FAMILY.values())}
    found = {name: outcome(name, bases[FAMILY[name]], tmp_path) for name in FOUND}
    assert found == json.loads(GOLDEN.read_text())


def test_there_are_many_of_them_each_with_its_origin():
    assert len(FOUND) >= 30
    assert set(FOUND) == FAMILY.keys()
