"""Per-expert LoRA at fused experts: what transformers and PEFT compute with the same numbers, for any mix of rows."""

import threading

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support.methods import leaves, lively, request
from tests.support.tiny_base import WITH_EXPERTS
from torch.func import functional_call
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.merge import merged_model
from graftwork.core.errors import WorkError
from graftwork.training.memory import checkpoint_activations, keep_activations

CLOSE = {"rtol": 1e-11, "atol": 1e-11}
"""float64 logits; measured 7e-16 at most. Norms of these families are float32 and swallow most of the rounding, so
what must be exact is compared at the experts themselves, or against the largest value."""


@pytest.fixture(params=WITH_EXPERTS)
def bank(request, load):
    return AdapterBank(load(request.param))


def experts_outputs(model, run):
    """What each module of experts gives while `run()` runs."""
    found = []
    modules = [module for name, module in model.named_modules() if name.endswith("mlp.experts")]
    hooks = [module.register_forward_hook(lambda module, args, output: found.append(output)) for module in modules]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return found


def assert_same(found, expected, share=1e-12):
    """The same but for a share of the largest value, which is not zero."""
    largest = expected.abs().max().item()
    assert largest > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=share * largest)


def experts_only(**asked):
    return request("lora", targets=["experts"], **asked)


def gradient(bank, handle, tokens, rows, *, threaded=False):
    params = leaves(bank, handle)
    for tensor in params.values():
        tensor.grad = None
    torch.manual_seed(11)
    with bank.route(rows, training=True):
        loss = bank.base.model(input_ids=tokens, use_cache=False).logits.square().mean()
        worker = threading.Thread(target=loss.backward)
        worker.start() if threaded else loss.backward()
        if threaded:
            worker.join()
    return {name: tensor.grad.clone() for name, tensor in params.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("family", WITH_EXPERTS)
def test_a_fresh_adapter_changes_no_bit(load, logits, base_logits, tokens_BT, family, dtype):
    bank = AdapterBank(load(family, dtype))
    found = logits(bank, tokens_BT(), [bank.fresh(request("lora"), seed=0)] * 2)
    assert torch.equal(found, base_logits(bank.base, tokens_BT()))


def test_each_row_of_a_mixed_batch_is_its_adapter_alone(bank, logits, base_logits, tokens_BT):
    a, b = lively(bank, request("lora"), 1), lively(bank, request("lora", targets=["experts.down"], rank=6), 2)
    c = lively(bank, request("lora", targets=["attention"]), 3)
    owners, tokens = [a, None, b, (a, b), a, c], tokens_BT(6)
    mixed = logits(bank, tokens, owners)
    for row, owner in enumerate(owners):
        torch.testing.assert_close(mixed[row : row + 1], logits(bank, tokens[row : row + 1], [owner]), **CLOSE)
    torch.testing.assert_close(mixed[1], base_logits(bank.base, tokens)[1], **CLOSE)
    different = [(mixed[row] - base_logits(bank.base, tokens)[row]).abs().max() for row in (0, 2, 3, 4, 5)]
    assert min(different) > 1e-2


def test_a_route_without_adapters_does_not_touch_the_call(bank, logits, base_logits, tokens_BT):
    lively(bank, experts_only())
    assert torch.equal(logits(bank, tokens_BT(), [None, None]), base_logits(bank.base, tokens_BT()))


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])  # gpt_oss keeps no packed records apart by itself
def test_pieces_of_a_packed_row_are_answered_apart(load, tokens_BT, family):
    bank = AdapterBank(load(family))
    a, b = lively(bank, experts_only(), 1), lively(bank, experts_only(), 2)
    pieces = [tokens_BT(1, length, seed) for length, seed in ((5, 1), (7, 2), (4, 3))]
    places = torch.cat([torch.arange(piece.shape[1]) for piece in pieces])[None]
    model = bank.base.model
    with torch.no_grad():
        with bank.route_tokens([(a, 5), (None, 7), (b, 4)]):
            packed = model(input_ids=torch.cat(pieces, 1), position_ids=places, use_cache=False).logits
        for piece, owner, found in zip(pieces, (a, None, b), packed.split([5, 7, 4], dim=1), strict=True):
            with bank.route([owner]):
                torch.testing.assert_close(found, model(input_ids=piece).logits, **CLOSE)


def test_merged_is_applied(bank, logits, base_logits, tokens_BT):
    handle = lively(bank, request("lora", scaling="rank_stabilised"))
    before = base_logits(bank.base, tokens_BT())
    merged = merged_model(bank.base.model, bank[handle])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in merged.modules())
    with torch.no_grad():
        found = merged(input_ids=tokens_BT()).logits
    torch.testing.assert_close(found, logits(bank, tokens_BT(), [handle] * 2), **CLOSE)
    ours = experts_outputs(bank.base.model, lambda: logits(bank, tokens_BT(), [handle] * 2))
    for mine, plain in zip(ours, experts_outputs(merged, lambda: merged(input_ids=tokens_BT())), strict=True):
        assert_same(mine, plain)
    assert (found - before).abs().max() > 0.05
    assert torch.equal(base_logits(bank.base, tokens_BT()), before)


def test_gradients_are_those_of_the_weights_with_the_update_in_them(bank, tokens_BT):
    handle = lively(bank, experts_only())
    found = gradient(bank, handle, tokens_BT(), [handle] * 2)
    weights = {}
    for key, here in bank[handle].placed.items():
        update = here.spec.scale * here.params["b_EOR"] @ here.params["a_ERI"]
        weights[key] = bank.base.model.get_parameter(key) + (update.mT if here.place.transposed else update)
    params = leaves(bank, handle)
    for tensor in params.values():
        tensor.grad = None
    functional_call(bank.base.model, weights, kwargs={"input_ids": tokens_BT()}).logits.square().mean().backward()
    for name, tensor in params.items():
        assert_same(found[name], tensor.grad)


def test_an_expert_that_no_token_was_sent_to_gets_no_gradient(bank):
    handle = lively(bank, experts_only())
    grads = gradient(bank, handle, torch.tensor([[65]]), [handle])  # one token, two of four experts
    for grad in grads.values():
        assert [bool(expert.any()) for expert in grad].count(True) == 2


@pytest.mark.parametrize("threaded", [False, True])
def test_recomputed_activations_give_the_same_gradient(bank, tokens_BT, threaded):
    handle, other = lively(bank, request("lora", dropout=0.3), 1), lively(bank, experts_only(), 2)
    rows = [handle, None, other]
    kept = gradient(bank, handle, tokens_BT(3), rows)
    checkpoint_activations(bank)
    recomputed = gradient(bank, handle, tokens_BT(3), rows, threaded=threaded)
    keep_activations(bank)
    for name, grad in kept.items():
        assert_same(recomputed[name], grad)


def test_inputs_of_the_update_are_dropped_while_training_alone(bank, logits, tokens_BT):
    handle = lively(bank, experts_only(dropout=0.5))
    resting = logits(bank, tokens_BT(), [handle] * 2)
    assert torch.equal(logits(bank, tokens_BT(), [handle] * 2), resting)
    with torch.no_grad(), bank.route([handle] * 2, training=True):
        first, second = (bank.base.model(input_ids=tokens_BT()).logits for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, resting)


@pytest.mark.parametrize("implementation", ["eager", "batched_mm", "grouped_mm"])
@pytest.mark.parametrize("family", WITH_EXPERTS)
def test_it_does_not_matter_how_the_base_computes_its_experts(load, logits, tokens_BT, family, implementation):
    exact, bank = AdapterBank(load(family)), AdapterBank(load(family, "float32"))
    bank.base.model.set_experts_implementation(implementation)
    found = logits(bank, tokens_BT(), [lively(bank, request("lora")), None]).double()
    expected = logits(exact, tokens_BT(), [lively(exact, request("lora")), None])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)  # float32; measured 1.1e-5


def test_a_base_in_bfloat16_is_answered_in_bfloat16(load, logits, tokens_BT):
    for family in WITH_EXPERTS:
        bank = AdapterBank(load(family, "bfloat16"))
        found = logits(bank, tokens_BT(), [lively(bank, request("lora")), None])
        assert found.dtype == torch.bfloat16
        assert found.isfinite().all()


def test_removing_it_leaves_no_trace(bank, logits, base_logits, tokens_BT):
    before = base_logits(bank.base, tokens_BT())
    held = {name: sorted(vars(module)) for name, module in bank.base.model.named_modules()}
    a, b = lively(bank, request("lora"), 1), lively(bank, request("lora", targets=["experts.down"]), 2)
    hooked = [m for m in bank.base.model.modules() if type(m).__name__.endswith("Experts")]
    assert all(len(m._forward_hooks) == len(m._forward_pre_hooks) == 1 for m in hooked)
    logits(bank, tokens_BT(), [a, b])
    bank.remove(a)
    assert all(m._forward_hooks for m in hooked)
    bank.remove(b)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in bank.base.model.modules())
    assert {name: sorted(vars(module)) for name, module in bank.base.model.named_modules()} == held
    assert torch.equal(base_logits(bank.base, tokens_BT()), before)


def test_two_banks_on_one_base_answer_in_turn_and_not_at_once(bank, logits, tokens_BT):
    other = AdapterBank(bank.base)
    a, b = lively(bank, experts_only(), 1), lively(other, experts_only(), 2)
    alone = logits(bank, tokens_BT(), [a, None]), logits(other, tokens_BT(), [b, b])
    with bank.route([a, None]), pytest.raises(WorkError, match="by two banks at once"):
        logits(other, tokens_BT(), [None, b])
    with bank.route([None, None]):
        assert torch.equal(logits(other, tokens_BT(), [b, b]), alone[1])
    assert torch.equal(logits(bank, tokens_BT(), [a, None]), alone[0])


def test_two_threads_answer_at_once(bank, logits, tokens_BT):
    handles = [lively(bank, experts_only(), seed) for seed in (1, 2)]
    alone = [logits(bank, tokens_BT(), [handle, None]) for handle in handles]
    found = [None, None]

    def work(number):
        for _ in range(5):
            found[number] = logits(bank, tokens_BT(), [handles[number], None])

    threads = [threading.Thread(target=work, args=[number]) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_a_saved_adapter_comes_back_and_answers_the_same(bank, logits, tokens_BT, tmp_path):
    handle = lively(bank, request("lora"))
    write_adapter(tmp_path / "saved", bank[handle], bank.base, {})
    loaded = read_adapter(tmp_path / "saved", bank.base).adapter
    assert loaded.digest() == bank[handle].digest()
    again = bank.add(loaded, name="again")
    assert torch.equal(logits(bank, tokens_BT(), [again] * 2), logits(bank, tokens_BT(), [handle] * 2))


def test_peft_computes_the_same_from_the_same_numbers(bank, logits, tokens_BT):
    handle = lively(bank, experts_only(rank=6))
    bare = AutoModelForCausalLM.from_pretrained(
        bank.base.folder, dtype=torch.float64, experts_implementation="eager"
    ).requires_grad_(False)
    told = LoraConfig(
        r=3, lora_alpha=32, target_modules=[], target_parameters=["experts.gate_up_proj", "experts.down_proj"]
    )
    theirs = get_peft_model(bare, told).eval()
    wrappers = {
        f"{name.removeprefix('base_model.model.').replace('.base_layer', '')}.{module.parameter_name}": module
        for name, module in theirs.named_modules()
        if hasattr(module, "parameter_name")
    }
    assert wrappers.keys() == bank[handle].placed.keys()
    with torch.no_grad():
        for key, here in bank[handle].placed.items():
            wrappers[key].lora_A["default"].weight.copy_(here.params["a_ERI"].flatten(0, 1))
            wrappers[key].lora_B["default"].weight.copy_(here.params["b_EOR"].permute(1, 2, 0).flatten(1))
    ours = experts_outputs(bank.base.model, lambda: logits(bank, tokens_BT(), [handle] * 2))
    same = experts_outputs(theirs, lambda: theirs(input_ids=tokens_BT()))
    plain = experts_outputs(bank.base.model, lambda: logits(bank, tokens_BT(), [None] * 2))
    for mine, peft, base in zip(ours, same, plain, strict=True):
        assert_same(mine, peft)
        assert (mine - base).abs().max() > 0.1 * peft.abs().max()
    with torch.no_grad():
        found = theirs(input_ids=tokens_BT()).logits
    torch.testing.assert_close(found, logits(bank, tokens_BT(), [handle] * 2), rtol=1e-9, atol=1e-9)
