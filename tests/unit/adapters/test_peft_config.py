"""What PEFT's config may ask for, and what is refused because it would not be done."""

import pytest

from graftwork.adapters.adapter import Adapter, Placed
from graftwork.adapters.asked import places_of
from graftwork.adapters.file_form import FORMS
from graftwork.adapters.forms import LIKELIEST
from graftwork.adapters.peft_lora import asked as asked_of
from graftwork.adapters.peft_lora import config_of
from graftwork.base.load import facts_from_config
from graftwork.core.errors import SpecError

PLAIN = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}


@pytest.fixture(scope="module")
def facts(llama_folder):
    return facts_from_config(llama_folder)


def specs_from(config, facts):
    return {key: here.spec for key, here in asked_of(config, facts, {}, None).items()}


def refusal(facts, **config):
    with pytest.raises(SpecError) as raised:
        specs_from({**PLAIN, **config}, facts)
    return str(raised.value)


def test_a_plain_config_holds_at_each_place(facts):
    found = specs_from({**PLAIN, "lora_dropout": 0.1, "use_rslora": True}, facts)
    assert list(found) == [f"model.layers.{layer}.self_attn.q_proj" for layer in range(3)]
    assert {(s.rank, s.alpha, s.dropout, s.scaling) for s in found.values()} == {(4, 8.0, 0.1, "rank_stabilised")}


def test_the_first_pattern_that_matches_holds(facts):
    patterns = {r"1\.self_attn\.q_proj": 2, "q_proj": 3, r"2\.self_attn\.q_proj": 5}
    found = specs_from({**PLAIN, "rank_pattern": patterns, "alpha_pattern": {r".*\.0\..*": 1.5}}, facts)
    assert [spec.rank for spec in found.values()] == [3, 2, 3]
    assert [spec.alpha for spec in found.values()] == [1.5, 8.0, 8.0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bias", "all"),
        ("bias", "lora_only"),
        ("lora_bias", True),
        ("layer_replication", [[0, 2]]),
        ("trainable_token_indices", [1]),
        ("alora_invocation_tokens", [5]),
        ("use_qalora", True),
        ("loftq_config", {"loftq_bits": 4}),
        ("megatron_config", {"a": 1}),
    ],
)
def test_more_than_lora_is_refused_by_key(facts, key, value):
    said = refusal(facts, **{key: value})
    assert said.startswith(f"adapter_config.json: {key} = {value!r}: expected ")
    assert said.endswith("This asks for more than LoRA on linear layers.")


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"])
def test_a_start_that_moves_the_base_is_refused(facts, init):
    said = refusal(facts, init_lora_weights=init)
    assert said.startswith(f"adapter_config.json: init_lora_weights = {init!r}: expected an initialisation that keeps")


@pytest.mark.parametrize("init", [True, False, "gaussian", "orthogonal"])
def test_a_start_that_keeps_the_base_is_taken(facts, init):
    assert len(specs_from({**PLAIN, "init_lora_weights": init}, facts)) == 3


def test_an_unknown_key_is_refused_with_the_nearest(facts):
    said = refusal(facts, use_rsloar=True)
    assert said == "adapter_config.json: use_rsloar = True: expected a key of PEFT 0.21. Did you mean 'use_rslora'?"


def test_all_that_is_wrong_is_said_at_once_and_in_one_order(facts):
    unknown = ["zeta", "k1", "k7", "k3", "k5", "k2", "k9", "k4", "k6", "k8"]
    said = refusal(facts, **dict.fromkeys(unknown, 1), lora_bias=True).splitlines()
    found = [line.split()[1] for line in said]
    assert found in ([*unknown, "lora_bias"], [*sorted(unknown), "lora_bias"])


def test_targets_that_match_nothing_are_refused_with_what_there_is(facts):
    assert refusal(facts, target_modules=["c_attn"]) == (
        "adapter_config.json: target_modules = ['c_attn']: expected layers of this base. "
        "Names here: down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj."
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target_modules", None),
        ("target_modules", 3),
        ("target_modules", [3]),
        ("target_modules", "("),
        ("exclude_modules", "("),
        ("exclude_modules", 3),
        ("rank_pattern", {"(": 3}),
        ("rank_pattern", ["q_proj"]),
        ("rank_pattern", {"q_proj": "8"}),
        ("rank_pattern", {"q_proj": {"kind": "tiered"}}),
        ("alpha_pattern", {"q_proj": -1}),
        ("r", 0),
        ("r", None),
        ("r", {"kind": "tiered"}),
        ("lora_alpha", 0),
        ("lora_alpha", "8"),
        ("lora_dropout", 1.5),
        ("use_rslora", "no"),
        ("init_lora_weights", ["pissa"]),
        ("layers_to_transform", "01"),
        ("layers_to_transform", ["0"]),
        ("layers_to_transform", 1.5),
        ("layers_pattern", "("),
        ("layers_pattern", [3]),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_key(facts, key, value):
    told = {"layers_to_transform": [0]} if key == "layers_pattern" else {}
    assert "adapter_config.json: " in refusal(facts, **told, **{key: value})


def test_writing_and_reading_a_config_is_the_identity(facts, lora):
    plan = {"kind": "tiered", "bottom": 2, "middle": 3, "top": 5}
    for asked in (
        lora(rank=plan, alpha=2.5, targets=["mlp", "q_proj"], layers=[0, 2]),
        lora(scaling="rank_stabilised", dropout=0.2),
        lora(targets=["model.layers.1.mlp.up_proj"]),
    ):
        placed = {
            name: Placed(place=here.place, method=here.method, spec=here.spec, params={})
            for name, here in places_of(asked, facts).items()
        }
        config = config_of(Adapter(spec=asked, placed=placed), facts, "ref")
        assert specs_from(config, facts) == {name: here.spec for name, here in placed.items()}


def test_short_names_are_written_when_they_say_it_all(facts, lora):
    def written(**asked):
        placed = {
            name: Placed(place=here.place, method=here.method, spec=here.spec, params={})
            for name, here in places_of(lora(**asked), facts).items()
        }
        return config_of(Adapter(spec=lora(**asked), placed=placed), facts, "ref")["target_modules"]

    assert written(targets=["mlp"]) == ["down_proj", "gate_proj", "up_proj"]
    assert written(targets=["q_proj"], layers=[1]) == ["model.layers.1.self_attn.q_proj"]


IA3 = {"peft_type": "IA3", "target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
ADALORA = {"peft_type": "ADALORA", "init_r": 3, "lora_alpha": 6, "target_modules": ["q_proj"]}
PREFIX = {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}
FIRST = "model.layers.0.self_attn.q_proj.lora_E"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**IA3, "feedforward_modules": ["up_proj"]}, "feedforward_modules = 'up_proj': expected one of target"),
        ({**IA3, "feedforward_modules": "("}, "feedforward_modules = '(': expected a name or a regular expression"),
        ({**IA3, "feedforward_modules": None}, "feedforward_modules = None: expected"),
        ({**IA3, "target_modules": ["lm_head"], "feedforward_modules": []}, "this is the base's head"),
        ({**IA3, "r": 8}, "r = 8: expected a key of PEFT 0.21"),
        ({**ADALORA, "rank_pattern": {FIRST: [True]}}, f"rank_pattern.{FIRST} = 1: expected init_r = 3 entries"),
        ({**ADALORA, "rank_pattern": {"x.lora_E": [True] * 3}}, "rank_pattern = 'x.lora_E': expected a layer that"),
        ({**ADALORA, "rank_pattern": {FIRST: [1, 0, 1]}}, "expected true or false"),
        ({**ADALORA, "init_r": 0}, "init_r = 0: expected a value >= 1"),
        ({**ADALORA, "target_modules": "nothing"}, "target_modules = 'nothing': expected layers of this base"),
        ({**PREFIX, "num_virtual_tokens": 0}, "num_virtual_tokens = 0: expected a value >= 1"),
        ({**PREFIX, "num_layers": 2}, "num_layers = 2: expected 3, as this base has it"),
        ({**PREFIX, "num_transformer_submodules": 2}, "num_transformer_submodules = 2: expected 1"),
        ({**PREFIX, "peft_type": "PROMPT_TUNING", "token_dim": 16}, "token_dim = 16: expected 32"),
    ],
    ids=str,
)  # fmt: skip
def test_what_another_method_cannot_mean_is_refused_by_key(facts, config, said):
    with pytest.raises(SpecError) as raised:
        FORMS[config["peft_type"]].asked(config, facts, {}, None)
    assert str(raised.value).startswith("adapter_config.json: ")
    assert said in str(raised.value)


def test_the_scale_of_adalora_is_the_one_that_it_has_in_peft(facts):
    for here in (
        FORMS["ADALORA"].asked({**ADALORA, "rank_pattern": {FIRST: [True, False, True]}}, facts, {}, None).values()
    ):
        assert here.spec.scale == pytest.approx(6 / (3 + 1e-5), rel=1e-15)
        assert here.spec.rank == here.spec.init_rank == (2 if here.place.layer == 0 else 3)


def test_a_pattern_for_one_layer_is_found_whatever_stands_around_it(facts):
    name = "model.layers.1.self_attn.q_proj"
    patterns = {f"^{name.replace('.', chr(92) + '.')}": 7, "q_proj": 3}
    assert specs_from({**PLAIN, "rank_pattern": patterns}, facts)[name].rank == 7
    assert specs_from({**PLAIN, "rank_pattern": dict(reversed(patterns.items()))}, facts)[name].rank == 3


def test_every_form_is_tried_when_an_adapter_is_written():
    assert set(LIKELIEST) == set(FORMS)
    assert LIKELIEST[-1] == "GRAFTWORK"
