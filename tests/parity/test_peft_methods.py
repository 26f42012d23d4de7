"""Files of every method that PEFT knows too, both ways: ours in PEFT and PEFT's here give the same logits."""

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from tests.support.methods import evolve, lively, request
from transformers import AutoModelForCausalLM, BertConfig, BertModel

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.any_model import wrapped
from graftwork.core.errors import SpecError

CLOSE = {"float64": {"rtol": 1e-9, "atol": 1e-9}, "float32": {"rtol": 0, "atol": 1e-4}}
"""float32: PEFT adds in another order."""

IGNORED = pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning")
"""PEFT 0.21 says so of its own files of AdaLoRA and of experts: it looks for layers of these names, not for tensors."""

CAUSAL = {"task_type": "CAUSAL_LM"}
THEIRS = {
    "dora": (LoraConfig, {"use_dora": True, "r": 4, "lora_alpha": 6, "target_modules": "all-linear"}),
    "dora, stabilised": (LoraConfig, {"use_dora": True, "use_rslora": True, "r": 4, "rank_pattern": {r".*\.0\..*": 2}}),
    "ia3": (IA3Config, {}),
    "prefix_tuning": (PrefixTuningConfig, {"num_virtual_tokens": 4}),
    "prefix_tuning by a network": (
        PrefixTuningConfig,
        {"num_virtual_tokens": 4, "prefix_projection": True, "encoder_hidden_size": 7},
    ),
    "prompt_tuning": (PromptTuningConfig, {"num_virtual_tokens": 4}),
    "adalora": (AdaLoraConfig, {"init_r": 5, "target_r": 3, "lora_alpha": 6, "total_step": 10}),
}
TARGETS = {
    "llama": {"target_modules": ["q_proj", "v_proj", "down_proj"]},
    "gpt2": {"target_modules": ["c_attn", "mlp.c_proj"]},
}
FEEDFORWARD = {"llama": ["down_proj"], "gpt2": ["mlp.c_proj"]}


def bare(base):
    """The base's model as `transformers` made it; experts computed one by one, which float64 needs."""
    return AutoModelForCausalLM.from_pretrained(base.folder, dtype=base.model.dtype, experts_implementation="eager")


def logits_of(model, tokens):
    with torch.no_grad():
        return model.eval()(input_ids=tokens).logits[:, -tokens.shape[1] :]  # those of soft tokens come first


def made_by_peft(base, folder, family, which):
    """Save an adapter of PEFT with every tensor moved off its start, and give its model back."""
    kind, told = THEIRS[which]
    prompts = kind in (PrefixTuningConfig, PromptTuningConfig)
    told = {**CAUSAL, **({} if prompts else TARGETS[family]), **told}
    if kind is IA3Config:
        told["feedforward_modules"] = FEEDFORWARD[family]
    model = get_peft_model(bare(base), kind(**told), autocast_adapter_dtype=False)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "ranknum" not in name:  # a constant, by mistake marked as trained
                parameter.add_(torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype) * 0.3)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", TARGETS)
@pytest.mark.parametrize("which", THEIRS)
def test_an_adapter_of_peft_gives_its_logits_here(tmp_path, load, logits, base_logits, tokens_BT, family, which, dtype):
    bank, tokens = AdapterBank(load(family, dtype)), tokens_BT()
    theirs = made_by_peft(bank.base, tmp_path / "theirs", family, which)
    ours = logits(bank, tokens, [bank.load(tmp_path / "theirs")] * 2)
    torch.testing.assert_close(ours, logits_of(theirs, tokens), **CLOSE[dtype])
    assert (ours - base_logits(bank.base, tokens)).abs().max() > 0.1


OURS = {
    "dora": {"alpha": 6.0, "rank": {"kind": "tiered", "bottom": 2, "middle": 3, "top": 5}},
    "ia3": {},
    "adalora": {"init_rank": 6, "rank": 3, "alpha": 8.0},
    "prefix_tuning": {"positions": 5},
    "prompt_tuning": {"positions": 5},
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", TARGETS)
@pytest.mark.parametrize("name", OURS)
def test_our_adapter_in_peft_gives_our_logits(tmp_path, load, logits, tokens_BT, family, name, dtype):
    bank, tokens = AdapterBank(load(family, dtype)), tokens_BT()
    handle = lively(bank, request(name, **OURS[name]))
    if name in ("prefix_tuning", "prompt_tuning"):  # PEFT holds these in float32, whatever the base is
        for _, tensor in bank[handle].tensors():
            tensor.copy_(tensor.float())
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours")
    torch.testing.assert_close(logits_of(theirs, tokens), logits(bank, tokens, [handle] * 2), **CLOSE[dtype])
    assert read_adapter(tmp_path / "ours", bank.base).adapter.digest() == bank[handle].digest()


@IGNORED
def test_a_trained_adalora_with_its_own_rank_at_each_place_goes_both_ways(tmp_path, load, logits, tokens_BT):
    bank, tokens = AdapterBank(load("llama")), tokens_BT()
    kept = evolve(bank, bank.fresh(request("adalora", init_rank=5, rank=2), seed=1), tokens, num_steps=12)
    ranks = {here.spec.rank for here in kept.placed.values()}
    assert len(ranks) > 1
    write_adapter(tmp_path / "ours", kept, bank.base, {})
    theirs = PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours")
    expected = logits(bank, tokens, [bank.add(kept, name="kept")] * 2)
    torch.testing.assert_close(logits_of(theirs, tokens), expected, **CLOSE["float64"])
    assert read_adapter(tmp_path / "ours", bank.base).adapter.digest() == kept.digest()
    theirs.save_pretrained(tmp_path / "theirs")
    torch.testing.assert_close(logits(bank, tokens, [bank.load(tmp_path / "theirs")] * 2), expected, **CLOSE["float64"])


@IGNORED
def test_layers_of_which_adalora_kept_nothing_are_left_out(tmp_path, load, logits, tokens_BT):
    bank, tokens = AdapterBank(load("llama")), tokens_BT()
    theirs = made_by_peft(bank.base, tmp_path / "theirs", "llama", "adalora")
    first = "model.layers.0.self_attn.q_proj"
    pattern = {f"{first}.lora_E": [False] * 5, "model.layers.1.mlp.down_proj.lora_E": [True, False, True, False, True]}
    config = theirs.peft_config["default"]
    config.rank_pattern = pattern
    theirs.save_pretrained(tmp_path / "pruned")
    adapter = read_adapter(tmp_path / "pruned", bank.base).adapter
    assert first not in adapter.placed
    assert adapter.placed["model.layers.1.mlp.down_proj"].params["a_RI"].shape == (3, 48)
    back = PeftModel.from_pretrained(bare(bank.base), tmp_path / "pruned")
    torch.testing.assert_close(
        logits(bank, tokens, [bank.add(adapter, name="a")] * 2), logits_of(back, tokens), **CLOSE["float64"]
    )


@pytest.mark.parametrize("asked", [{"targets": ["attention.q"]}, {"layers": [1]}, {"feedforward": ["attention"]}])
@pytest.mark.parametrize("family", TARGETS)
def test_any_choice_of_ia3_survives_the_way_to_peft(tmp_path, load, logits, tokens_BT, family, asked):
    if family == "gpt2" and "targets" in asked:
        asked = {"targets": ["c_proj"]}  # of the two, one has its inputs multiplied and the other its outputs
    bank, tokens = AdapterBank(load(family)), tokens_BT()
    handle = lively(bank, request("ia3", **asked))
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours")
    torch.testing.assert_close(logits_of(theirs, tokens), logits(bank, tokens, [handle] * 2), **CLOSE["float64"])
    (tmp_path / "ours" / "graftwork.json").unlink()
    again = bank.load(tmp_path / "ours")
    torch.testing.assert_close(
        logits(bank, tokens, [again] * 2), logits(bank, tokens, [handle] * 2), **CLOSE["float64"]
    )


@pytest.mark.parametrize("init", ["pissa", "olora", "pissa_niter_4"])
def test_a_start_from_the_weights_loads_once_peft_has_converted_it(tmp_path, load, logits, tokens_BT, init):
    bank, tokens = AdapterBank(load("llama", "float32")), tokens_BT()
    told = LoraConfig(**CAUSAL, r=3, lora_alpha=3, target_modules=["q_proj", "up_proj"], init_lora_weights=init)
    model = get_peft_model(bare(bank.base), told)
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(tmp_path / "start")
    model.peft_config["default"].init_lora_weights = init
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
    expected = logits_of(model, tokens)
    model.save_pretrained(tmp_path / "done", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    ours = logits(bank, tokens, [bank.load(tmp_path / "done")] * 2)
    torch.testing.assert_close(ours, expected, **CLOSE["float32"])


@pytest.mark.parametrize("stored", ["bfloat16", "float16", "float32", "float64"])
def test_tensors_of_any_float_type_mean_what_they_say(tmp_path, load, stored):
    base = load("llama")
    made_by_peft(base, tmp_path / "theirs", "llama", "ia3")
    path = tmp_path / "theirs" / "adapter_model.safetensors"
    cut = {name: t.to(getattr(torch, stored)) for name, t in load_file(path).items()}
    save_file(cut, path)
    placed = read_adapter(tmp_path / "theirs", base).adapter.placed
    for name, tensor in cut.items():
        (found,) = placed[name.removeprefix("base_model.model.").removesuffix(".ia3_l")].params.values()
        assert found.dtype == (torch.float64 if stored == "float64" else torch.float32)
        assert torch.equal(found.double(), tensor.flatten().double())


@pytest.mark.parametrize("name", ["structured_lora", "bottleneck"])
def test_a_method_that_peft_does_not_know_is_refused_by_it(tmp_path, load, name):
    bank = AdapterBank(load("llama"))
    write_adapter(tmp_path / "ours", bank[lively(bank, request(name))], bank.base, {})
    with pytest.raises(KeyError, match="GRAFTWORK"):
        PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours")
    with pytest.raises(KeyError, match="GRAFTWORK"):
        PeftConfig.from_pretrained(tmp_path / "ours")


def test_methods_combined_are_no_lora_even_if_each_could_be_written_as_one(tmp_path, load, logits, tokens_BT):
    bank, tokens = AdapterBank(load("llama")), tokens_BT()
    spec = parse_adapter_spec(
        {"method": "combined", "parts": [{"method": "lora", "rank": 2}, {"method": "pissa", "rank": 2}]}
    )
    handle = lively(bank, spec)
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    again = bank.load(tmp_path / "ours")
    assert bank[again].digest() == bank[handle].digest()
    torch.testing.assert_close(
        logits(bank, tokens, [again] * 2), logits(bank, tokens, [handle] * 2), **CLOSE["float64"]
    )


@IGNORED
@pytest.mark.parametrize("rank", [6, {"kind": "tiered", "bottom": 2, "middle": 6, "top": 10}])
@pytest.mark.parametrize("targets", [["experts"], ["all"], ["experts.down", "attention"]])
def test_lora_of_fused_experts_in_peft_gives_our_logits(tmp_path, load, logits, tokens_BT, targets, rank):
    bank, tokens = AdapterBank(load("mixtral")), tokens_BT()
    handle = lively(bank, request("lora", rank=rank, alpha=9.0, targets=targets))
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours")
    torch.testing.assert_close(logits_of(theirs, tokens), logits(bank, tokens, [handle] * 2), **CLOSE["float64"])
    assert read_adapter(tmp_path / "ours", bank.base).adapter.digest() == bank[handle].digest()


@IGNORED
@pytest.mark.parametrize(
    "told",
    [
        {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
        {"target_parameters": ["down_proj"], "target_modules": ["q_proj"], "use_rslora": True},
        {"target_parameters": ["mlp.experts.gate_up_proj"], "rank_pattern": {r".*\.0\..*": 2}},
    ],
)
def test_lora_of_fused_experts_of_peft_gives_its_logits_here(tmp_path, load, logits, base_logits, tokens_BT, told):
    bank, tokens = AdapterBank(load("mixtral")), tokens_BT()
    told = LoraConfig(**CAUSAL, **{"target_modules": [], "r": 3, "lora_alpha": 5, "init_lora_weights": False, **told})
    theirs = get_peft_model(bare(bank.base), told)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = logits(bank, tokens, [bank.load(tmp_path / "theirs")] * 2)
    torch.testing.assert_close(ours, logits_of(theirs, tokens), **CLOSE["float64"])
    assert (ours - base_logits(bank.base, tokens)).abs().max() > 1e-3


def test_experts_with_dropout_are_kept_in_our_own_form(tmp_path, load):
    bank = AdapterBank(load("mixtral"))
    handle = lively(bank, request("lora", targets=["experts"], dropout=0.1))
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    assert '"GRAFTWORK"' in (tmp_path / "ours" / "adapter_config.json").read_text()
    assert read_adapter(tmp_path / "ours", bank.base).adapter.digest() == bank[handle].digest()


def an_encoder():
    """A tiny model that writes no text."""
    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BertModel(config).eval().double()


def hidden(model, tokens):
    with torch.no_grad():
        return model(input_ids=tokens).last_hidden_state


@pytest.mark.parametrize("name", ["lora", "dora", "ia3"])
def test_adapters_of_a_model_that_writes_no_text_go_both_ways(tmp_path, name):
    base, tokens = wrapped(an_encoder(), ref="an encoder"), torch.arange(12).view(2, 6)
    bank = AdapterBank(base)
    handle = lively(bank, request(name))
    with bank.route([handle] * 2):
        ours = hidden(base.model, tokens)
    write_adapter(tmp_path / "ours", bank[handle], base, {})
    theirs = PeftModel.from_pretrained(an_encoder(), tmp_path / "ours")
    torch.testing.assert_close(hidden(theirs.eval(), tokens), ours, **CLOSE["float64"])
    theirs.save_pretrained(tmp_path / "theirs")
    with bank.route([bank.load(tmp_path / "theirs")] * 2):
        torch.testing.assert_close(hidden(base.model, tokens), ours, **CLOSE["float64"])


def test_an_adalora_whose_budget_is_not_yet_final_is_kept_in_our_own_form(tmp_path, load):
    bank = AdapterBank(load("llama"))
    handle = lively(bank, request("adalora"))
    next(iter(bank[handle].placed.values())).params["kept_R"][0] = 0
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    assert '"GRAFTWORK"' in (tmp_path / "ours" / "adapter_config.json").read_text()
    assert read_adapter(tmp_path / "ours", bank.base).adapter.digest() == bank[handle].digest()


def test_whole_layers_trained_beside_an_adapter_are_refused_with_their_size(tmp_path, load):
    base = load("llama", "float32")
    told = LoraConfig(**CAUSAL, target_modules=["q_proj"], modules_to_save=["lm_head"])
    get_peft_model(bare(base), told).save_pretrained(tmp_path / "theirs")
    with pytest.raises(SpecError) as raised:
        read_adapter(tmp_path / "theirs", base)
    assert str(raised.value) == (
        "adapter_config.json: modules_to_save = ['lm_head']: expected None. The file holds 8,288 numbers of them. "
        "Whole layers that were trained beside the adapter are no adapter: merge them into the base in PEFT "
        "(merge_and_unload) and use that as the base."
    )
