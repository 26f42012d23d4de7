"""The bank puts adapters in and takes them out without a trace, and never lets one answer for another."""

import threading

import pytest
import torch
from tests.support.methods import leaves, loss_of, request
from tests.support.methods import lively as lively_spec

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.method import METHODS
from graftwork.core.errors import GraftworkError, NotFoundError, SpecError, WorkError


def hooks(bank):
    return [hook for module in bank.base.model.modules() for hook in module._forward_hooks.values()]


def test_a_removed_adapter_leaves_no_hook_and_no_change(bank, lively, logits, base_logits, tokens_BT):
    before, digest = base_logits(bank.base, tokens_BT()), bank.base.tensor_digest()
    handle = lively(bank)
    logits(bank, tokens_BT(), [handle] * 2)
    assert len(hooks(bank)) == len(bank[handle].placed)
    bank.remove(handle)
    assert hooks(bank) == []
    assert len(bank) == 0
    assert handle not in bank
    assert torch.equal(base_logits(bank.base, tokens_BT()), before)
    assert bank.base.tensor_digest() == digest


def test_places_that_another_adapter_needs_stay_hooked(bank, lively, logits, tokens_BT):
    everywhere, attention = lively(bank, 1), lively(bank, 2, targets=["attention"])
    before = logits(bank, tokens_BT(), [attention] * 2)
    bank.remove(everywhere)
    assert len(hooks(bank)) == len(bank[attention].placed)
    assert torch.equal(logits(bank, tokens_BT(), [attention] * 2), before)


def test_a_place_is_hooked_once_however_many_adapters_it_has(bank, lively):
    handles = [lively(bank, seed) for seed in range(5)]
    assert len(hooks(bank)) == len(bank[handles[0]].placed)


def test_not_a_byte_of_the_base_moves_in_training(bank, lively, tokens_BT):
    digest, handle = bank.base.tensor_digest(), lively(bank)
    leaves = [t.requires_grad_() for _, t in bank[handle].tensors()]
    with bank.route([handle] * 2, training=True):
        bank.base.model(input_ids=tokens_BT()).logits.square().sum().backward()
    torch.optim.SGD(leaves, lr=1.0).step()
    assert all(p.grad is None and not p.requires_grad for p in bank.base.model.parameters())
    assert bank.base.tensor_digest() == digest
    bank.remove(handle)
    assert bank.base.tensor_digest() == digest


def test_outside_a_route_the_base_answers(bank, lively, base_logits, tokens_BT):
    before = base_logits(bank.base, tokens_BT())
    lively(bank)
    assert torch.equal(base_logits(bank.base, tokens_BT()), before)


def test_an_inner_route_ends_and_the_outer_one_is_back(bank, lively, logits, tokens_BT):
    a, b = lively(bank, 1), lively(bank, 2)
    expected = logits(bank, tokens_BT(), [a, a])
    with torch.no_grad(), bank.route([a, a]):
        with pytest.raises(ZeroDivisionError), bank.route([b, b]):
            raise ZeroDivisionError
        assert torch.equal(bank.base.model(input_ids=tokens_BT()).logits, expected)


def test_an_adapter_removed_while_its_route_is_held_goes_on_answering(bank, lively, logits, tokens_BT):
    handle = lively(bank)
    expected = logits(bank, tokens_BT(), [handle] * 2)
    with torch.no_grad(), bank.route([handle] * 2):
        bank.remove(handle)
        found = bank.base.model(input_ids=tokens_BT()).logits
    assert torch.equal(found, expected)
    assert hooks(bank) == []


def test_an_adapter_removed_in_the_middle_of_a_forward_pass_answers_it_to_the_end(bank, lively, logits, tokens_BT):
    handle = lively(bank)
    expected = logits(bank, tokens_BT(), [handle] * 2)
    middle = bank.base.model.model.layers[1]
    taking_out = middle.register_forward_pre_hook(lambda *_: bank.remove(handle))
    found = logits(bank, tokens_BT(), [handle] * 2)
    taking_out.remove()
    assert torch.equal(found, expected)


def test_an_adapter_removed_while_another_holds_its_places_goes_on_answering(bank, lively, logits, tokens_BT):
    a, b = lively(bank, 1), lively(bank, 2)
    expected = logits(bank, tokens_BT(), [a, b])
    with torch.no_grad(), bank.route([a, b]):
        bank.remove(a)
        assert torch.equal(bank.base.model(input_ids=tokens_BT()).logits, expected)


@pytest.mark.parametrize(
    ("num_rows", "length", "routed"), [(3, 5, 2), (2, 5, 3), (3, 4, 2), (4, 6, 3), (1, 6, 2)], ids=str
)
def test_a_batch_of_other_rows_than_the_route_is_refused(bank, lively, tokens_BT, num_rows, length, routed):
    rows = [lively(bank, 1), None, None][:routed]
    with torch.no_grad(), bank.route(rows), pytest.raises(WorkError, match=f"the route has {routed} rows"):
        bank.base.model(input_ids=tokens_BT(num_rows, length))


@pytest.mark.parametrize("lengths", [(2, 3), (4, 5, 1), (1, 2)], ids=str)
def test_a_packed_row_of_other_tokens_than_the_route_is_refused(bank, lively, tokens_BT, lengths):
    handle = lively(bank)
    with (
        torch.no_grad(),
        bank.route_tokens([(handle if i == 0 else None, n) for i, n in enumerate(lengths)]),
        pytest.raises(WorkError),
    ):
        bank.base.model(input_ids=tokens_BT(1, 9))


def test_an_adapter_that_is_not_in_the_bank_is_refused_by_name(bank, lively):
    held, gone = lively(bank, 1), lively(bank, 2)
    bank.remove(gone)
    for ask in (lambda: bank[gone], lambda: bank.remove(gone), lambda: bank.route([held, gone]).__enter__()):
        with pytest.raises(NotFoundError) as raised:
            ask()
        assert str(raised.value) == "adapter lively-2 (2) is not in this bank. There are: lively-1 (1)."


def test_a_handle_is_never_used_again(bank, lively):
    first = lively(bank)
    bank.remove(first)
    assert lively(bank) != first
    assert Handle(first.number, "another name") not in bank


def test_a_target_that_matches_nothing_leaves_the_bank_as_it_was(bank, lora):
    with pytest.raises(SpecError):
        bank.fresh(lora(targets=["nothing"]), seed=0)
    assert len(bank) == 0
    assert hooks(bank) == []


def test_an_adapter_of_another_base_leaves_the_bank_as_it_was(bank, lively, load):
    other = AdapterBank(load("gpt2"))
    adapter = other[lively(other)]
    with pytest.raises(GraftworkError, match=r"transformer\.h\.0\.attn\.c_attn"):
        bank.add(adapter, name="stray")
    assert hooks(bank) == []


def test_threads_with_routes_of_their_own_do_not_mix(bank, lively, logits, tokens_BT):
    handles = [lively(bank, seed) for seed in range(3)]
    expected = [logits(bank, tokens_BT(), [handle, None]) for handle in handles]
    together, wrong = threading.Barrier(3), []

    def ask(i):
        for _ in range(20):
            together.wait()
            if not torch.equal(logits(bank, tokens_BT(), [handles[i], None]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_banks_on_one_base_keep_apart(bank, lively, logits, tokens_BT):
    other = AdapterBank(bank.base)
    a, b = lively(bank, 1), lively(other, 2)
    alone = logits(bank, tokens_BT(), [a, a])
    assert not torch.equal(alone, logits(other, tokens_BT(), [b, b]))
    other.remove(b)
    assert torch.equal(logits(bank, tokens_BT(), [a, a]), alone)


@pytest.mark.parametrize(
    ("base_dtype", "trained"), [("bfloat16", torch.float32), ("float32", torch.float32), ("float64", torch.float64)]
)
def test_what_is_trained_is_at_least_float32(load, lora, base_dtype, trained):
    bank = AdapterBank(load("llama", base_dtype))
    assert {t.dtype for _, t in bank[bank.fresh(lora(), seed=0)].tensors()} == {trained}


def test_the_same_seed_makes_the_same_adapter(bank, lora):
    digests = [bank[bank.fresh(lora(), seed=seed)].digest() for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("method", ["lora", "bottleneck", "prefix_tuning"])
def test_adapters_come_and_go_while_others_answer(bank, lively, logits, tokens_BT, method):
    handles = [lively(bank, seed, targets=["attention"]) for seed in range(2)]
    expected = [logits(bank, tokens_BT(), [handle, None]) for handle in handles]
    everywhere = lively_spec(bank, request(method), 9)
    passing, done, wrong = bank[everywhere], threading.Event(), []
    bank.remove(everywhere)

    def come_and_go():
        while not done.is_set():
            bank.remove(bank.add(passing, name="passing"))

    def ask(i):
        for _ in range(10):
            if not torch.equal(logits(bank, tokens_BT(), [handles[i], None]), expected[i]):
                wrong.append(i)

    traffic = threading.Thread(target=come_and_go)
    askers = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for thread in (traffic, *askers):
        thread.start()
    for thread in askers:
        thread.join()
    done.set()
    traffic.join()
    assert wrong == []
    assert len(bank) == 2


@pytest.mark.parametrize(
    ("name", "family", "module"),
    [
        ("bottleneck", "llama", "model.layers.0.self_attn.q_proj"),
        ("lora", "mixtral", "model.layers.0.mlp.experts"),
        ("prefix_tuning", "llama", "model"),
    ],
)
def test_one_removed_between_two_hooks_of_a_module_does_not_stop_the_others(
    load, logits, base_logits, tokens_BT, name, family, module
):
    bank = AdapterBank(load(family))
    other = bank.fresh(request("lora", targets=["attention.out"]), seed=1)
    before, leaving = base_logits(bank.base, tokens_BT()), []
    taking_out = bank.module(module).register_forward_pre_hook(
        lambda *_: bank.remove(leaving.pop()) if leaving else None
    )
    leaving.append(bank.fresh(request(name), seed=0))
    assert torch.equal(logits(bank, tokens_BT(), [other] * 2), before)
    assert len(bank) == 1
    taking_out.remove()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_one_made_in_inference_mode_answers_inside_it_and_outside(load, logits, tokens_BT, name, dtype):
    bank = AdapterBank(load("llama", dtype))
    with torch.inference_mode():
        made = lively_spec(bank, request(name))
        inside = logits(bank, tokens_BT(), [made] * 2)
    assert torch.equal(logits(bank, tokens_BT(), [made] * 2), inside)
    usual = lively_spec(bank, request(name))
    assert torch.equal(logits(bank, tokens_BT(), [usual] * 2), inside)
    with bank.route([made, usual]):
        tracked = bank.base.model(input_ids=tokens_BT()[:1].expand(2, -1)).logits
    torch.testing.assert_close(tracked[0], tracked[1])
    with torch.inference_mode():
        for _, tensor in bank[made].trained():
            tensor.mul_(0.5)
        changed = logits(bank, tokens_BT(), [made] * 2)
    assert not torch.equal(changed, inside)


@pytest.mark.parametrize("name", METHODS)
def test_what_answered_in_inference_mode_can_be_trained(load, tokens_BT, name):
    bank, dropout = AdapterBank(load("llama", "bfloat16")), {}
    if "dropout" in METHODS[name].spec.model_fields:
        dropout = {"dropout": 0.1}
    handle = lively_spec(bank, request(name, **dropout))
    with torch.inference_mode(), bank.route([handle] * 2, training=True):
        bank.base.model(input_ids=tokens_BT())
    leaves(bank, handle)
    loss_of(bank, handle, tokens_BT(), training=True).backward()


@pytest.mark.parametrize("lengths", [(0, 9), (12, -3), (4, 0, 5)], ids=str)
def test_a_piece_without_tokens_is_refused_by_its_number(bank, lively, lengths):
    handle, number = lively(bank), next(i for i, n in enumerate(lengths) if n < 1)
    pieces = [(handle if i % 2 else None, n) for i, n in enumerate(lengths)]
    with pytest.raises(WorkError, match=f"piece {number} .* {lengths[number]} tokens"), bank.route_tokens(pieces):
        pass
