"""What every adapter method must do on a real model. A new method joins by being in the catalog."""

import pytest
import torch
from tests.support.methods import evolve, leaves, lively, loss_of, other_requests, request, seen, stirred

from graftwork.adapters import methods
from graftwork.adapters.adapter import fresh
from graftwork.adapters.asked import places_of
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import exchangeable, read_adapter, write_adapter
from graftwork.adapters.merge import merged_model
from graftwork.adapters.method import METHODS
from graftwork.adapters.targets import LinearSpec
from graftwork.core.errors import SpecError
from graftwork.core.spec import parse, plain

NAMES = list(METHODS)
CLOSE = {"rtol": 1e-11, "atol": 1e-11}

pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def base(load):
    return load("llama")


@pytest.fixture
def bank(base):
    return AdapterBank(base)


def test_its_file_is_imported_by_name(name):
    assert name in methods.__all__
    assert METHODS[name].name == name


def test_it_says_where_its_mathematics_comes_from(name):
    assert METHODS[name].source.startswith("https://")


def test_every_field_of_its_spec_is_described(name):
    assert [n for n, field in METHODS[name].spec.model_fields.items() if not field.description] == []


def test_its_spec_is_named_by_the_catalog_and_comes_back_from_plain_data(name):
    spec = request(name)
    assert spec.method == name
    assert parse(METHODS[name].spec, plain(spec)) == spec


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_a_fresh_adapter_changes_nothing(name, dtype, load, logits, base_logits, tokens_BT):
    if METHODS[name].neutral == "no":
        pytest.skip("it says that it is not neutral")
    bank = AdapterBank(load("llama", dtype))
    found = logits(bank, tokens_BT(), [bank.fresh(request(name), seed=0)] * 2)
    expected = base_logits(bank.base, tokens_BT())
    assert found.dtype == expected.dtype
    if METHODS[name].neutral == "exact":
        assert torch.equal(found, expected)
    else:
        loose = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.2}[dtype]
        torch.testing.assert_close(found, expected, rtol=loose, atol=loose)


def test_its_start_has_the_declared_names_shapes_and_type(name, bank):
    for here in places_of(request(name), bank.base.facts).values():
        started = here.method.init(here.spec, bank.frozen(here.place), torch.Generator().manual_seed(0))
        assert {n: tuple(t.shape) for n, t in started.items()} == dict(here.method.shapes(here.spec, here.place))
        assert {t.dtype for t in started.values()} <= {torch.float32, torch.float64}  # the base's weights are float64
        assert set(here.method.kept) <= started.keys()


def test_its_start_depends_on_the_seed_alone(name, base):
    before = torch.random.get_rng_state()
    first, second = (fresh(request(name), base.facts, AdapterBank(base).frozen, seed=5) for _ in range(2))
    assert first.digest() == second.digest()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_it_does_something_once_its_tensors_have_moved(name, bank, logits, base_logits, tokens_BT):
    found = logits(bank, tokens_BT(), [lively(bank, request(name))] * 2)
    assert (found - base_logits(bank.base, tokens_BT())).abs().max() > 1e-3


def test_merging_computes_what_applying_computes_or_is_refused(name, bank, logits, tokens_BT):
    handle = lively(bank, request(name))
    if not METHODS[name].merges:
        with pytest.raises(SpecError, match=name):
            merged_model(bank.base.model, bank[handle])
        return
    with torch.no_grad():
        merged = merged_model(bank.base.model, bank[handle])(input_ids=tokens_BT()).logits
    torch.testing.assert_close(merged, logits(bank, tokens_BT(), [handle] * 2), rtol=1e-9, atol=1e-9)


def test_every_trained_tensor_gets_a_gradient_and_nothing_else_does(name, bank, tokens_BT):
    handle = lively(bank, request(name))
    params = leaves(bank, handle)
    loss_of(bank, handle, tokens_BT()).backward()
    assert [n for n, t in params.items() if t.grad is None or not t.grad.any()] == []
    assert all(t.grad is None for n, t in bank[handle].tensors() if n not in params)
    assert all(p.grad is None for p in bank.base.model.parameters())


def test_the_gradient_is_the_slope(name, load, tokens_BT):
    if not METHODS[name].slope:
        pytest.skip("it holds something constant in the backward pass, and says so")
    bank = AdapterBank(load("gpt2"))  # float64 throughout, where a Llama's norms are float32
    handle = stirred(bank, bank.fresh(request(name), seed=0), strength=0.02)  # with more, too curved for a small step
    params, draw = leaves(bank, handle), torch.Generator().manual_seed(5)
    loss_of(bank, handle, tokens_BT()).backward()
    for tensor in params.values():
        way = torch.randn(tensor.shape, generator=draw, dtype=tensor.dtype)
        step = 1e-6
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor.add_(sign * step * way)
                ends.append(loss_of(bank, handle, tokens_BT()).item())
                tensor.sub_(sign * step * way)
        slope, expected = (ends[0] - ends[1]) / (2 * step), float((tensor.grad * way).sum())
        assert slope == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_answering_changes_none_of_its_tensors(name, bank, logits, tokens_BT):
    handle = lively(bank, request(name))
    before = bank[handle].digest()
    logits(bank, tokens_BT(), [handle] * 2)
    assert bank[handle].digest() == before


def test_a_base_in_bfloat16_is_answered_in_bfloat16(name, load, logits, tokens_BT):
    bank = AdapterBank(load("llama", "bfloat16"))
    found = logits(bank, tokens_BT(), [lively(bank, request(name))] * 2)
    assert found.dtype == torch.bfloat16
    assert found.isfinite().all()


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "gemma3"])
def test_each_row_of_a_mixed_batch_is_its_adapter_alone(name, family, load, logits, base_logits, tokens_BT):
    bank, tokens = AdapterBank(load(family)), tokens_BT(4, 30)
    a, b = lively(bank, request(name), 1), lively(bank, request("lora"), 2)
    mixed = logits(bank, tokens, [a, None, b, a])
    torch.testing.assert_close(mixed[[0, 3]], logits(bank, tokens[[0, 3]], [a, a]), **CLOSE)
    torch.testing.assert_close(mixed[2:3], logits(bank, tokens[2:3], [b]), **CLOSE)
    torch.testing.assert_close(mixed[1], base_logits(bank.base, tokens)[1], **CLOSE)


def test_two_adapters_of_the_method_keep_apart_gradients_too(name, bank, tokens_BT):
    handles = [lively(bank, request(name), seed) for seed in (1, 2)]
    params = [leaves(bank, handle) for handle in handles]
    with bank.route(handles):
        bank.base.model(input_ids=tokens_BT()).logits[0].square().mean().backward()
    mixed = {n: t.grad.clone() for n, t in params[0].items()}
    assert all(t.grad is None or not t.grad.any() for t in params[1].values())
    for tensor in params[0].values():
        tensor.grad = None
    with bank.route(handles[:1]):
        bank.base.model(input_ids=tokens_BT()[:1]).logits[0].square().mean().backward()
    for n, tensor in params[0].items():
        torch.testing.assert_close(mixed[n], tensor.grad, **CLOSE)


def test_it_answers_on_top_of_another_adapter_and_under_one(name, bank, logits, tokens_BT):
    a, b = lively(bank, request(name), 1), lively(bank, request("lora"), 2)
    alone = [logits(bank, tokens_BT(), [handle] * 2) for handle in (a, b)]
    for stack in ((a, b), (b, a)):
        found = logits(bank, tokens_BT(), [stack, None])[0]
        assert all((found - one[0]).abs().max() > 1e-3 for one in alone)


def test_removing_it_leaves_no_trace(name, bank, base_logits, tokens_BT, logits):
    before = base_logits(bank.base, tokens_BT())
    handle = lively(bank, request(name))
    logits(bank, tokens_BT(), [handle] * 2)
    bank.remove(handle)
    hooks = [m for m in bank.base.model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == []
    assert torch.equal(base_logits(bank.base, tokens_BT()), before)


def test_a_saved_adapter_comes_back_and_answers_the_same(name, bank, logits, tokens_BT, tmp_path):
    handle = lively(bank, request(name))
    write_adapter(tmp_path / "saved", bank[handle], bank.base, {})
    loaded = read_adapter(tmp_path / "saved", bank.base).adapter
    assert loaded.digest() == exchangeable(bank[handle]).digest()
    again = bank.add(loaded, name="again")
    torch.testing.assert_close(
        logits(bank, tokens_BT(), [again] * 2), logits(bank, tokens_BT(), [handle] * 2), rtol=1e-9, atol=1e-9
    )


def test_what_it_becomes_in_training_comes_back_too(name, bank, logits, tokens_BT, tmp_path):
    kept = evolve(bank, bank.fresh(request(name), seed=1), tokens_BT(), num_steps=12)
    write_adapter(tmp_path / "saved", kept, bank.base, {})
    loaded = bank.add(read_adapter(tmp_path / "saved", bank.base).adapter, name="again")
    torch.testing.assert_close(
        logits(bank, tokens_BT(), [loaded] * 2),
        logits(bank, tokens_BT(), [bank.add(kept, name="kept")] * 2),
        rtol=1e-9,
        atol=1e-9,
    )


def test_a_place_starts_the_same_whichever_others_are_adapted(name, bank):
    if not issubclass(METHODS[name].spec, LinearSpec):
        pytest.skip("it does not choose among layers")
    alone = bank[bank.fresh(request(name, layers=[1]), seed=1)].placed
    among = bank[bank.fresh(request(name), seed=1)].placed
    assert all(torch.equal(t, among[key].params[n]) for key, here in alone.items() for n, t in here.params.items())


def test_no_option_is_accepted_and_then_ignored(name, bank, tokens_BT):
    usual = seen(bank, request(name), tokens_BT())
    others = list(other_requests(name))
    assert {field for field, _ in others} == METHODS[name].spec.model_fields.keys() - {"method"}
    ignored = [
        (field, value) for field, value in others if seen(bank, request(name, **{field: value}), tokens_BT()) == usual
    ]
    assert ignored == []


def test_training_it_for_a_few_steps_lowers_the_loss(name, bank, tokens_BT):
    handle = stirred(bank, bank.fresh(request(name), seed=1), strength=0.05)
    before = loss_of(bank, handle, tokens_BT()).item()
    evolve(bank, handle, tokens_BT(), num_steps=5, rate=1e-3, of=100)  # so early that no method cuts anything away
    assert loss_of(bank, handle, tokens_BT()).item() < before
