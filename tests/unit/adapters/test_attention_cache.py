"""Prefixes and soft prompts on a base: what is refused, what is left alone, and what is gone afterwards."""

import copy
import threading

import pytest
import torch
from tests.support.methods import leaves, lively, request, stirred
from transformers import BertConfig, BertModel

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.asked import positions_in_front
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.merge import merged_model
from graftwork.adapters.method import METHODS
from graftwork.adapters.sites.attention_cache import mask_with_front
from graftwork.adapters.sites.watched import Attention, Watched
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.any_model import wrapped
from graftwork.core.errors import SpecError, WorkError

NAMES = ("prefix_tuning", "prompt_tuning")
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def combined(*parts):
    return parse_adapter_spec({"method": "combined", "parts": parts})


def attentions(base):
    return [base.model.get_submodule(place.name) for place in base.facts.attentions]


@pytest.mark.parametrize("name", NAMES)
def test_while_it_is_in_the_bank_no_config_is_changed_and_then_none_is_left(name, load, tokens_BT, base_logits):
    bank = AdapterBank(load())
    config, before = bank.base.model.config, base_logits(bank.base, tokens_BT())
    handle = lively(bank, request(name))
    assert config._attn_implementation == "sdpa"
    assert {module.config._attn_implementation for module in attentions(bank.base)} == {"sdpa"}
    assert torch.equal(base_logits(bank.base, tokens_BT()), before)
    bank.remove(handle)
    assert all(module.config is config for module in attentions(bank.base))


def test_a_route_with_nothing_in_front_leaves_attention_to_the_base(bank, lively, tokens_BT, logits):
    bank.fresh(request("prefix_tuning"), seed=0)
    lora = lively(bank)
    names = set()
    module = attentions(bank.base)[0]
    module.register_forward_pre_hook(lambda m, _: names.add(m.config._attn_implementation))
    logits(bank, tokens_BT(), [lora, None])
    assert names == {"sdpa"}


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_forward_pass_leaves_the_route_as_it_was(name, bank, tokens_BT, logits):
    handle = lively(bank, request(name))
    before = logits(bank, tokens_BT(), [handle] * 2)
    fails = bank.base.model.model.layers[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with bank.route([handle] * 2) as route:
        with pytest.raises(ZeroDivisionError):
            bank.base.model(input_ids=tokens_BT())
        fails.remove()
        assert bank.route_now() is route
        with torch.no_grad():
            assert torch.equal(bank.base.model(input_ids=tokens_BT()).logits, before)
    assert bank.route_now() is None


def test_two_banks_on_one_base_keep_apart_and_leave_in_any_order(load, tokens_BT, logits, base_logits):
    base = load()
    one, two = AdapterBank(base), AdapterBank(base)
    plain = base_logits(base, tokens_BT())
    a, b = lively(one, request("prefix_tuning"), 1), lively(two, request("prompt_tuning"), 2)
    found = logits(one, tokens_BT(), [a] * 2), logits(two, tokens_BT(), [b] * 2)
    one.remove(a)
    assert torch.equal(logits(two, tokens_BT(), [b] * 2), found[1])
    two.remove(b)
    assert not any(isinstance(module.config, Watched) for module in attentions(base))
    assert torch.equal(base_logits(base, tokens_BT()), plain)
    assert not torch.equal(*found)


def test_two_banks_cannot_both_put_something_in_front_at_once(load, tokens_BT):
    base = load()
    one, two = AdapterBank(base), AdapterBank(base)
    a, b = lively(one, request("prefix_tuning"), 1), lively(two, request("prefix_tuning"), 2)
    with one.route([a] * 2), two.route([b] * 2), pytest.raises(WorkError, match="one bank at a time"):
        base.model(input_ids=tokens_BT())


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_the_model_has_a_plain_config_and_is_the_base(name, bank, tokens_BT, base_logits):
    lively(bank, request(name))
    lora = bank.fresh(request("lora"), seed=0)
    merged = merged_model(bank.base.model, bank[lora])
    copied = [module.config for module in merged.modules() if type(module).__name__ == "LlamaAttention"]
    assert all(config is merged.config for config in copied)
    with torch.no_grad():
        found = merged(input_ids=tokens_BT()).logits
    torch.testing.assert_close(found, base_logits(bank.base, tokens_BT()), **CLOSE)
    assert isinstance(attentions(bank.base)[0].config, Watched)
    assert not isinstance(copy.deepcopy(attentions(bank.base)[0].config), Watched)


@pytest.mark.parametrize("name", NAMES)
def test_threads_keep_their_own_routes(name, bank, tokens_BT, logits, base_logits):
    handle = lively(bank, request(name))
    expected = {True: logits(bank, tokens_BT(), [handle] * 2), False: base_logits(bank.base, tokens_BT())}
    wrong = []

    def work(routed):
        for _ in range(20):
            found = logits(bank, tokens_BT(), [handle] * 2) if routed else base_logits(bank.base, tokens_BT())
            if not torch.equal(found, expected[routed]):
                wrong.append(routed)

    threads = [threading.Thread(target=work, args=(routed,)) for routed in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_flex_attention_is_refused_and_nothing_is_changed(name, load):
    base = load("llama", "float32")
    base.model.set_attn_implementation("flex_attention")
    bank = AdapterBank(base)
    with pytest.raises(SpecError) as raised:
        bank.fresh(request(name), seed=0)
    assert str(raised.value) == (
        f"adapter.method = '{name}': expected a method that this base allows. It needs attention by sdpa or eager; "
        "here it is flex_attention. Set attention: sdpa."
    )
    assert len(bank) == 0
    assert not any(isinstance(module.config, Watched) for module in attentions(base))


@pytest.mark.parametrize("name", NAMES)
def test_attention_with_a_way_of_its_own_is_refused(name, load):
    base = load("gpt2")
    attentions(base)[1].reorder_and_upcast_attn = True
    with pytest.raises(SpecError, match=r"transformer\.h\.1\.attn"):
        AdapterBank(base).fresh(request(name), seed=0)


def test_attention_that_changes_under_an_adapter_is_refused_when_it_is_used(load, tokens_BT):
    bank = AdapterBank(load("llama", "float32"))
    handle = lively(bank, request("prefix_tuning"))
    bank.base.model.set_attn_implementation("flex_attention")
    mask = torch.ones(2, 1, 9, 9, dtype=torch.bool)  # given, so that flex attention compiles none of its own
    with bank.route([handle] * 2), pytest.raises(WorkError, match="computed by flex_attention"):
        bank.base.model(input_ids=tokens_BT(), attention_mask=mask)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_more_tokens_than_there_are_positions_behind_it_are_refused(family, load, tokens_BT, logits):
    bank = AdapterBank(load(family))
    handle = lively(bank, request("prefix_tuning", positions=30))
    assert logits(bank, tokens_BT(1, 482), [handle]).isfinite().all()
    with pytest.raises(SpecError) as raised:
        logits(bank, tokens_BT(1, 483), [handle])
    assert str(raised.value) == (
        "adapter.positions = 30: expected at most 29. With them the last token is at 513, and this base has positions "
        "for 512."
    )


def test_a_request_says_by_how_much_it_shortens_the_context():
    both = combined({"method": "prefix_tuning", "positions": 4}, {"method": "prompt_tuning", "positions": 6})
    asked = [both, request("prefix_tuning"), request("prompt_tuning"), request("lora"), request("bottleneck")]
    assert [positions_in_front(spec) for spec in asked] == [10, 30, 20, 0, 0]


@pytest.mark.parametrize("unit", ["rows", "tokens"])
def test_another_batch_than_the_route_is_refused(unit, bank, tokens_BT):
    handle = lively(bank, request("prefix_tuning"))
    routed = bank.route([handle, None, None]) if unit == "rows" else bank.route_tokens([(handle, 4), (None, 4)])
    with routed, pytest.raises(WorkError, match="but the route has"):
        bank.base.model(input_ids=tokens_BT(2, 9))


def test_what_soft_tokens_leave_is_kept_until_a_tensor_of_the_adapter_changes(bank, tokens_BT, logits):
    both = combined({"method": "prompt_tuning"}, {"method": "lora", "rank": 2})
    handle = lively(bank, both)
    reads = []
    layer = bank.base.model.model.layers[0]
    layer.register_forward_pre_hook(lambda _, args, kwargs: reads.append(len(args[0])), with_kwargs=True)
    first = logits(bank, tokens_BT(3), [handle] * 3)
    again = logits(bank, tokens_BT(3), [handle] * 3)
    assert reads == [1, 3, 3]
    assert torch.equal(first, again)
    a_RI = next(t for name, t in bank[handle].tensors() if name.endswith("layers.0.self_attn.k_proj/b_OR"))
    with torch.no_grad():
        a_RI.add_(1.0)
    changed = logits(bank, tokens_BT(3), [handle] * 3)
    assert reads == [1, 3, 3, 1, 3]
    fresh_memo = Adapter(spec=both, placed={k: _forgetful(here) for k, here in bank[handle].placed.items()})
    assert torch.equal(changed, logits(bank, tokens_BT(3), [bank.add(fresh_memo, name="again")] * 3))


def _forgetful(here):
    return type(here)(place=here.place, method=here.method, spec=here.spec, params=here.params, part=here.part)


def test_soft_tokens_are_read_once_an_adapter_not_once_a_row(bank, tokens_BT):
    a, b = (stirred(bank, bank.fresh(request("prompt_tuning"), seed=seed)) for seed in (1, 2))
    reads = []
    layer = bank.base.model.model.layers[0]
    layer.register_forward_pre_hook(lambda _, args, kwargs: reads.append(tuple(args[0].shape[:2])), with_kwargs=True)
    with bank.route([a, b, a, None, b]):
        bank.base.model(input_ids=tokens_BT(5))
    assert reads == [(1, 20), (1, 20), (5, 9)]


def test_training_through_a_network_leaves_keys_and_values_that_answer_the_same(bank, tokens_BT, logits, tmp_path):
    spec = request("prefix_tuning", positions=5, network_features=7)
    handle = lively(bank, spec)
    adapter = bank[handle]
    names = {name.rpartition("/")[2] for name in leaves(bank, handle)}
    assert names == {"code_PW", "a_WW", "a_bias_W", "b_KDW", "b_bias_KD", "c_KDW", "c_bias_KD"}
    kept = Adapter(spec=spec, placed=METHODS["prefix_tuning"].evolution.finish(spec, adapter.placed))
    assert {name.rpartition("/")[2] for name, _ in kept.tensors()} == {"keys_PKD", "values_PKD"}
    assert not any(t.requires_grad for _, t in kept.tensors())
    write_adapter(tmp_path / "saved", kept, bank.base, {})
    loaded = bank.add(read_adapter(tmp_path / "saved", bank.base).adapter, name="again")
    expected = logits(bank, tokens_BT(), [handle] * 2)
    torch.testing.assert_close(logits(bank, tokens_BT(), [loaded] * 2), expected, **CLOSE)


def test_prefix_and_bottleneck_at_the_same_module_both_act(bank, tokens_BT, logits):
    prefix, bottleneck = lively(bank, request("prefix_tuning"), 1), lively(bank, request("bottleneck"), 2)
    assert bank[prefix].placed.keys() & bank[bottleneck].placed.keys()
    rows = [prefix, bottleneck, [prefix, bottleneck], None]
    mixed = logits(bank, tokens_BT(4), rows)
    for number, row in enumerate(rows):
        torch.testing.assert_close(mixed[number], logits(bank, tokens_BT(4)[number : number + 1], [row])[0], **CLOSE)
    both = bank.fresh(combined({"method": "prefix_tuning"}, {"method": "bottleneck"}), seed=0)
    assert len({here.method.name for here in bank[both].at("model.layers.0.self_attn")}) == 2


def test_soft_tokens_of_a_scaled_table_start_as_it_scales_them(load):
    bank = AdapterBank(load("gemma3"))
    assert bank.base.model.config.hidden_size == 32
    soft_PH = next(t for _, t in bank[bank.fresh(request("prompt_tuning"), seed=0)].tensors())
    rows = bank.base.model.get_input_embeddings().weight.float() * 32**0.5
    assert (soft_PH.float()[:, None] - rows).abs().amax(2).amin(1).max() < 1e-5


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("additive", [False, True])
def test_a_mask_lets_a_token_see_what_is_in_front_as_far_as_its_window_reaches(window, additive):
    own = torch.ones(3, 3, dtype=torch.bool).tril()[None, None]
    shut = torch.finfo(torch.float64).min
    call = Attention(
        module=torch.nn.Identity(),
        query_BHTD=torch.zeros(2, 4, 3, 8, dtype=torch.float64),
        key_BKSD=torch.zeros(2, 2, 3, 8, dtype=torch.float64),
        value_BKSD=torch.zeros(2, 2, 3, 8, dtype=torch.float64),
        mask=torch.zeros(own.shape, dtype=torch.float64).masked_fill(~own, shut) if additive else own,
        options={"sliding_window": window},
        plain=print,
        mask_is_added=False,
        causal_if_unmasked=True,
    )
    found = mask_with_front(call, torch.tensor([[5, 6, 7], [5, 5, 6]]), in_front=5)
    found = found == 0 if additive else found
    front = [
        [[window is None or position - slot < window for slot in range(5)] for position in row]
        for row in ([5, 6, 7], [5, 5, 6])
    ]
    expected = torch.cat([torch.tensor(front)[:, None], own.expand(2, -1, -1, -1)], dim=-1)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_causal_model_without_a_tokenizer_takes_it_and_another_refuses_it(name, load, tokens_BT, logits):
    loaded = AdapterBank(load())
    expected = logits(loaded, tokens_BT(), [lively(loaded, request(name))] * 2)
    bank = AdapterBank(wrapped(load().model, ref="in memory"))
    handle = stirred(bank, bank.fresh(request(name), seed=0), seed=0)
    with torch.no_grad(), bank.route([handle] * 2):
        assert torch.equal(bank.host.model(input_ids=tokens_BT()).logits, expected)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    reader = AdapterBank(wrapped(BertModel(BertConfig(vocab_size=50, **small)), ref="reader"))
    with pytest.raises(SpecError, match="a language model whose tokens see no later ones"):
        reader.fresh(request(name), seed=0)


@pytest.mark.parametrize("name", ["prefix_tuning", "prompt_tuning"])
def test_one_adapter_in_banks_on_two_bases_is_read_by_each(name, load, tokens_BT, logits):
    banks = [AdapterBank(load()), AdapterBank(load("llama"))]
    with torch.no_grad():
        for weight in banks[1].base.model.parameters():
            weight.mul_(1.1)
    handles = [lively(banks[0], request(name))]
    handles.append(banks[1].add(banks[0][handles[0]], name="too"))
    for bank, handle in zip(banks * 2, handles * 2, strict=True):
        found = logits(bank, tokens_BT(), [handle] * 2)
        with bank.route([handle] * 2):
            torch.testing.assert_close(found, bank.base.model(input_ids=tokens_BT()).logits, **CLOSE)
