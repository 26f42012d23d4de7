"""DoRA, PiSSA, Delta-LoRA, structured LoRA and IA3: what each promises beyond what all methods do."""

import pytest
import torch
from tests.support.methods import evolve, leaves, lively, loss_of, request, stirred
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from graftwork.adapters.adapter import Placed
from graftwork.adapters.asked import places_of
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.evolution import Moment, schedule_problems
from graftwork.adapters.form import Memo
from graftwork.adapters.merge import merged_model, merged_weight
from graftwork.adapters.method import METHODS
from graftwork.adapters.methods import dora
from graftwork.adapters.route import Route
from graftwork.adapters.sites.frozen import FrozenModule
from graftwork.adapters.sites.linear import adapted
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.facts import LinearPlace
from graftwork.base.load import facts_from_config
from graftwork.core.errors import SpecError

INPUTS, OUTPUTS = 24, 16


class Sizes(TorchDispatchMode):
    """Notes how many numbers each tensor has that is made inside."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and not made._is_view():
            self.made.append(made.numel())
        return made


def layer(dtype=torch.float64, seed=0, bias=True):
    """A frozen linear layer with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Linear(INPUTS, OUTPUTS, bias=bias, dtype=dtype).requires_grad_(False)
    place = LinearPlace(name="layers.0.fc", role="mlp.up", in_features=INPUTS, out_features=OUTPUTS, layer=0)
    return FrozenModule(place, module)


def placed(name, frozen, seed=1, strength=0.3, **asked):
    """A method at a layer, its trained tensors moved off their start."""
    spec = request(name, **asked)  # its rank is a whole number: as good as resolved
    method, draw = METHODS[name], torch.Generator().manual_seed(seed)
    params = {n: t.to(frozen.weight.dtype) for n, t in method.init(spec, frozen, draw).items()}
    for n, tensor in params.items():
        if n not in method.kept:
            tensor.add_(strength * torch.randn(tensor.shape, generator=draw, dtype=tensor.dtype))
    return Placed(place=frozen.place, method=method, spec=spec, params=params)


def inputs(rows=5, dtype=torch.float64):
    return torch.randn(rows, INPUTS, generator=torch.Generator().manual_seed(9), dtype=dtype)


def update_of(form):
    return form.scale * form.up_OR @ form.down_RI


COMBINED = [("ia3", "dora"), ("dora", "ia3"), ("pissa", "dora"), ("dora", "delta_lora"), ("structured_lora", "ia3")]


@pytest.mark.parametrize("names", COMBINED, ids="+".join)
def test_parts_merge_to_what_they_compute_one_on_the_other(load, logits, tokens_BT, names):
    bank = AdapterBank(load("gpt2"))
    parts = [{"method": name, **({} if name == "ia3" else {"rank": 4})} for name in names]
    handle = lively(bank, parse_adapter_spec({"method": "combined", "parts": parts}))
    with torch.no_grad():
        merged = merged_model(bank.base.model, bank[handle])(input_ids=tokens_BT()).logits
    torch.testing.assert_close(merged, logits(bank, tokens_BT(), [handle] * 2), rtol=1e-9, atol=1e-9)


# DoRA


@pytest.mark.parametrize("chunk", [dora.CHUNK, 3 * INPUTS, 1])
def test_the_norm_is_that_of_the_changed_weight(chunk):
    frozen = layer()
    here = placed("dora", frozen)
    a_RI, b_OR = here.params["a_RI"], here.params["b_OR"]
    squares_O = dora.row_squares(frozen.weight)
    found = dora.changed_norm(frozen.weight, squares_O, a_RI, b_OR, here.spec.scale, chunk=chunk)
    expected = (frozen.weight + here.spec.scale * b_OR @ a_RI).norm(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    assert (found - squares_O.sqrt()).abs().min() > 1e-2


def test_the_norm_forms_nothing_of_the_size_of_the_weight():
    frozen = layer()
    here = placed("dora", frozen)
    with Sizes() as sizes:
        here.form(frozen)
    assert len(sizes.made) > 8
    assert max(sizes.made) <= here.spec.rank * max(INPUTS, OUTPUTS)


def test_the_norm_is_found_once_until_the_factors_change():
    frozen = layer()
    here = placed("dora", frozen)
    x_NI = inputs()

    def flops():
        with FlopCounterMode(display=False) as counter:
            adapted(here, frozen, x_NI, x_NI @ frozen.weight.T, Route((), unit="rows", training=True), 0)
        return counter.get_total_flops()

    first, second = flops(), flops()
    here.params["magnitude_O"].add_(1)
    assert flops() == second
    here.params["a_RI"].add_(1)
    assert flops() > second
    rank = here.spec.rank
    assert first - second == 2 * rank * (OUTPUTS * INPUTS + rank * INPUTS + OUTPUTS * rank)


def test_one_adapter_on_two_bases_has_the_norms_of_each():
    one, other = layer(seed=0), layer(seed=1)
    here = placed("dora", one)
    found = [here.form(frozen).gain_O for frozen in (one, other, one)]
    assert torch.equal(found[0], found[2])
    alone = Placed(place=here.place, method=here.method, spec=here.spec, params=here.params)
    assert torch.equal(found[1], alone.form(other).gain_O)
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["dora", "pissa", "delta_lora", "structured_lora", "ia3"])
def test_a_fresh_adapter_changes_no_bit_where_layers_have_biases(name, dtype, load, logits, base_logits, tokens_BT):
    bank = AdapterBank(load("gpt2", dtype))
    found = logits(bank, tokens_BT(), [bank.fresh(request(name), seed=0)] * 2)
    assert torch.equal(found, base_logits(bank.base, tokens_BT()))


def test_a_norm_found_while_answering_serves_a_later_step(bank, tokens_BT):
    handle = lively(bank, request("dora"))
    with torch.inference_mode(), bank.route([handle] * 2):
        bank.base.model(input_ids=tokens_BT())
    params = leaves(bank, handle)
    loss_of(bank, handle, tokens_BT()).backward()
    assert all(tensor.grad.isfinite().all() for tensor in params.values())


def test_the_norm_is_not_coarser_under_autocast():
    frozen = layer(torch.float32)
    here, again = placed("dora", frozen), placed("dora", frozen)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(here.form(frozen).gain_O, again.form(frozen).gain_O)
    alone = placed("dora", frozen).form(frozen).gain_O
    assert torch.equal(here.form(frozen).gain_O, alone)


@pytest.mark.parametrize("name", ["dora", "ia3"])
def test_a_small_gain_counts_in_bfloat16(name):
    frozen = layer(torch.bfloat16, bias=False)
    gain = "magnitude_O" if name == "dora" else "gain_O"
    here = placed(name, frozen, strength=0.0)
    params = {n: t.float() for n, t in here.params.items()}
    if name == "dora":
        params[gain] = dora.row_squares(frozen.weight).sqrt()
    params[gain] = params[gain] * 1.003  # less than half a step of bfloat16 above 1
    here = Placed(place=here.place, method=here.method, spec=here.spec, params=params)
    x_NI = inputs(2000, torch.bfloat16)
    base_NO = x_NI @ frozen.weight.T
    found = adapted(here, frozen, x_NI, base_NO, Route((), unit="rows", training=False), 0)
    ratio = (found.float() * base_NO.float()).sum() / base_NO.float().square().sum()
    assert ratio == pytest.approx(1.003, abs=3e-4)


def test_a_row_of_zeros_gives_finite_numbers():
    frozen = layer()
    frozen.module.weight.data[3] = 0
    fresh = placed("dora", frozen, strength=0.0)
    assert torch.equal(fresh.form(frozen).gain_O, torch.ones(OUTPUTS, dtype=torch.float64))
    params = {n: t.requires_grad_() for n, t in placed("dora", frozen).params.items()}
    here = Placed(place=frozen.place, method=METHODS["dora"], spec=fresh.spec, params=params)
    x_NI = inputs()
    y_NO = adapted(here, frozen, x_NI, frozen.module(x_NI), Route((), unit="rows", training=True), 0)
    y_NO.square().sum().backward()
    assert y_NO.isfinite().all()
    assert all(t.grad.isfinite().all() for t in params.values())


def test_factors_that_cancel_the_weight_give_finite_numbers():
    frozen = layer(torch.float32)
    left, values, right = torch.linalg.svd(frozen.weight, full_matrices=False)
    here = placed("dora", frozen, rank=16, alpha=16.0)
    here.params["a_RI"].copy_(right * values[:, None])
    here.params["b_OR"].copy_(-left)
    assert here.form(frozen).gain_O.isfinite().all()


# PiSSA


def test_pissa_starts_from_the_best_product_of_its_rank():
    frozen = layer()
    here = placed("pissa", frozen, strength=0.0, svd="full")
    left, values, right = torch.linalg.svd(frozen.weight, full_matrices=False)
    found = here.spec.scale * here.params["b0_OR"] @ here.params["a0_RI"]
    best = left[:, :4] * values[:4] @ right[:4]
    torch.testing.assert_close(found, best, rtol=0, atol=1e-6)  # kept in float32; measured 1.6e-7


def test_the_fast_decomposition_is_nearly_the_best():
    draw = torch.Generator().manual_seed(0)
    module = nn.Linear(200, 160, bias=False, dtype=torch.float64).requires_grad_(False)
    module.weight.normal_(generator=draw)  # a flat spectrum, the hardest there is
    place = LinearPlace(name="fc", role="mlp.up", in_features=200, out_features=160, layer=0)
    frozen = FrozenModule(place, module)

    def residual(svd):
        here = placed("pissa", frozen, strength=0.0, rank=16, svd=svd)
        return (module.weight - here.spec.scale * here.params["b0_OR"] @ here.params["a0_RI"]).norm().item()

    best = residual("full")
    assert best < 0.85 * module.weight.norm()
    assert best <= residual("fast") < 1.01 * best


def test_pissa_has_an_even_share_of_the_principal_part_in_a_and_in_b():
    here = placed("pissa", layer(), strength=0.0, svd="full")
    torch.testing.assert_close(here.params["a_RI"].norm(dim=1), here.params["b_OR"].norm(dim=0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["pissa", "delta_lora"])
def test_what_is_kept_does_not_move_with_what_is_trained(name):
    frozen = layer(torch.float32)
    started = METHODS[name].init(request(name), frozen, torch.Generator().manual_seed(0))
    assert len({tensor.untyped_storage().data_ptr() for tensor in started.values()}) == 4


def test_a_rank_that_a_layer_does_not_have_is_refused():
    with pytest.raises(SpecError) as refused:
        METHODS["pissa"].shapes(request("pissa", rank=17), layer().place)
    assert str(refused.value) == (
        "adapter.rank = 17: expected a value <= 16. layers.0.fc has 24 inputs and 16 outputs."
    )


def test_a_rank_that_others_could_not_read_is_refused():
    with pytest.raises(SpecError, match="a value <= 2048"):
        METHODS["delta_lora"].shapes(request("delta_lora", rank=2049), layer().place)


@pytest.mark.parametrize("scaling", ["classic", "rank_stabilised"])
@pytest.mark.parametrize("name", ["pissa", "delta_lora"])
def test_as_a_plain_lora_it_is_the_same_update(name, scaling):
    frozen = layer()
    here = placed(name, frozen, scaling=scaling, alpha=1e6)
    spec, params = METHODS[name].plain(here.spec, here.params)
    there = METHODS["lora"].act(spec, params, frozen, Memo())
    expected = update_of(here.form(frozen))
    torch.testing.assert_close(update_of(there), expected, rtol=1e-12, atol=1e-12 * expected.abs().max().item())
    assert (spec.method, spec.rank, spec.alpha) == ("lora", 8, 1e6)


# Delta-LoRA


def by_the_paper(weight_OI, a_RI, b_OR, scale, ratio, start, steps, rate, batches):
    """Delta-LoRA as it is written: the weight itself is changed. Its effective weight after each step."""
    weight_OI, a_RI, b_OR = weight_OI.clone(), a_RI.clone().requires_grad_(), b_OR.clone().requires_grad_()
    effective = []
    for step in range(steps):
        x_NI, wanted_NO = batches[step]
        y_NO = x_NI @ weight_OI.T + scale * (x_NI @ a_RI.T) @ b_OR.T
        grads = torch.autograd.grad((y_NO - wanted_NO).square().mean(), [a_RI, b_OR])
        with torch.no_grad():
            before_OI = b_OR @ a_RI
            a_RI -= rate * grads[0]
            b_OR -= rate * grads[1]
            if step >= start:
                weight_OI += ratio * scale * (b_OR @ a_RI - before_OI)
            effective.append(weight_OI + scale * b_OR @ a_RI)
    return effective


@pytest.mark.parametrize("start", [0, 1, 4])
def test_delta_lora_is_the_paper_s_loop_that_changes_the_weight(start):
    frozen, steps, rate = layer(bias=False), 12, 2.0
    here = placed("delta_lora", frozen, strength=0.0, start_step=start, update_ratio=1.7, alpha=4.0)
    draw = torch.Generator().manual_seed(4)
    batches = [
        [torch.randn(6, n, generator=draw, dtype=torch.float64) for n in (INPUTS, OUTPUTS)] for _ in range(steps)
    ]
    trained = {name: here.params[name].requires_grad_() for name in ("a_RI", "b_OR")}
    expected = by_the_paper(
        frozen.weight, *(t.detach() for t in trained.values()), here.spec.scale, 1.7, start, steps, rate, batches
    )
    evolution = here.method.evolution
    state = evolution.begin(here.spec, {"fc": here})
    for step, (x_NI, wanted_NO) in enumerate(batches):
        y_NO = adapted(here, frozen, x_NI, x_NI @ frozen.weight.T, Route((), unit="rows", training=True), 0)
        (y_NO - wanted_NO).square().mean().backward()
        with torch.no_grad():
            for tensor in trained.values():
                tensor.sub_(rate * tensor.grad)
            evolution.step(here.spec, {"fc": here}, {}, state, Moment(step=step + 1, num_steps=steps))
        for tensor in trained.values():
            tensor.grad = None
        found = merged_weight([here.form(frozen)], frozen.weight)
        torch.testing.assert_close(found.detach(), expected[step], rtol=0, atol=1e-10)
    assert (expected[-1] - frozen.weight).abs().max() > 0.1
    without = frozen.weight + here.spec.scale * trained["b_OR"] @ trained["a_RI"]
    assert (expected[-1] - without).abs().max() > 0.05  # so that the moves of the weight matter


def test_what_passes_through_the_moved_weight_is_its_own_gradient():
    frozen = layer(bias=False)
    here = placed("delta_lora", frozen, update_ratio=1.7)
    for name in ("a_RI", "b_OR"):
        here.params[name].requires_grad_()
    x_NI = inputs().requires_grad_()
    y_NO = adapted(here, frozen, x_NI, x_NI @ frozen.weight.T, Route((), unit="rows", training=True), 0)
    y_NO.sum().backward()
    with torch.no_grad():
        whole = merged_weight([here.form(frozen)], frozen.weight)
        torch.testing.assert_close(x_NI.grad, torch.ones(5, OUTPUTS, dtype=torch.float64) @ whole)
        torch.testing.assert_close(y_NO, x_NI @ whole.T)


def test_before_its_start_delta_lora_is_lora(load, tokens_BT):
    ends = []
    for asked in (request("delta_lora", start_step=6), request("lora")):
        bank = AdapterBank(load())
        kept = evolve(bank, bank.fresh(asked, seed=1), tokens_BT(), num_steps=6)
        ends.append({n: t.detach() for n, t in kept.tensors()})
    for name, tensor in ends[1].items():
        torch.testing.assert_close(ends[0][name], tensor, rtol=0, atol=1e-12)
        assert torch.equal(ends[0][name.replace("/a_", "/a0_").replace("/b_", "/b0_")], ends[0][name])


def test_a_start_that_never_comes_is_refused():
    (problem,) = schedule_problems(request("delta_lora", start_step=10), num_steps=10)
    assert str(problem) == (
        "adapter.start_step = 10: expected less than the 10 steps of this training. "
        "Later the weight would never move, and this would be LoRA."
    )
    assert schedule_problems(request("delta_lora", start_step=9), num_steps=10) == []


# structured LoRA

CUTS = [(1, 1), (4, 1), (2, 2), (4, 4), (1, 4), (8, 2)]


@pytest.mark.parametrize(("blocks", "blocks_out"), CUTS)
def test_the_short_way_computes_what_the_dense_form_does(blocks, blocks_out):
    frozen = layer()
    here = placed("structured_lora", frozen, rank=8, blocks=blocks, blocks_out=blocks_out)
    x_NI = inputs()
    base_NO = frozen.module(x_NI)
    expected = base_NO + x_NI @ update_of(here.form(frozen)).T
    torch.testing.assert_close(here.method.run(here.spec, here.params, x_NI, base_NO), expected)
    assert (expected - base_NO).abs().max() > 0.1


@pytest.mark.parametrize(("blocks", "blocks_out"), CUTS)
def test_it_has_as_many_numbers_and_operations_fewer_as_it_says(blocks, blocks_out):
    frozen, rank, rows = layer(), 8, 5
    here = placed("structured_lora", frozen, rank=rank, blocks=blocks, blocks_out=blocks_out)
    numbers = sum(tensor.numel() for tensor in here.params.values())
    assert numbers == rank * INPUTS // blocks + OUTPUTS * rank // blocks_out
    x_NI, base_NO = inputs(rows), torch.zeros(rows, OUTPUTS, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        here.method.run(here.spec, here.params, x_NI, base_NO)
    assert counter.get_total_flops() == 2 * rows * numbers
    lora = placed("lora", frozen, rank=rank)
    with FlopCounterMode(display=False) as counter:
        adapted(lora, frozen, x_NI, base_NO, Route((), unit="rows", training=False), 0)
    assert counter.get_total_flops() == 2 * rows * rank * (INPUTS + OUTPUTS)


def test_each_group_of_outputs_hears_from_every_group_of_inputs():
    here = placed("structured_lora", layer(), rank=16, blocks=4, blocks_out=4)
    update = update_of(here.form(layer())).reshape(4, OUTPUTS // 4, 4, INPUTS // 4)
    assert (update.abs().amax((1, 3)) > 0).all()
    down = here.form(layer()).down_RI.reshape(4, 4, 4, INPUTS // 4)
    assert [(g, h) for g in range(4) for h in range(4) if down[g, :, h].any()] == [(g, g) for g in range(4)]


def test_in_one_block_it_is_lora():
    frozen = layer()
    one = placed("structured_lora", frozen, strength=0.0, blocks=1)
    lora = placed("lora", frozen, strength=0.0)
    assert torch.equal(one.form(frozen).down_RI, lora.form(frozen).down_RI)
    assert one.params["b_PQS"].shape == (1, *lora.params["b_OR"].shape)


def test_blocks_that_do_not_come_out_even_are_refused_with_what_fits():
    spec = request("structured_lora", rank=12, blocks=8, blocks_out=3)
    with pytest.raises(SpecError) as refused:
        METHODS["structured_lora"].shapes(spec, layer().place)
    inputs_told, outputs_told = str(refused.value).splitlines()
    assert inputs_told == (
        "adapter.blocks = 8: expected a divisor of rank 12 and of the 24 inputs of layers.0.fc. "
        "1, 2, 3, 4, 6, 12 would fit."
    )
    assert outputs_told == (
        "adapter.blocks_out = 3: expected a divisor of rank 12 and of the 16 outputs of layers.0.fc. 1, 2, 4 would fit."
    )


# IA3


@pytest.mark.parametrize(
    ("family", "roles"),
    [
        ("llama", {"attention.k": "gain_O", "attention.v": "gain_O", "mlp.down": "gain_I"}),
        ("gpt2", {"attention.qkv": "gain_O", "mlp.down": "gain_I"}),
    ],
)
def test_ia3_is_where_keys_values_and_inner_activations_are(folder_of, family, roles):
    asked = places_of(request("ia3"), facts_from_config(folder_of(family))).values()
    assert {here.place.role: next(iter(here.method.shapes(here.spec, here.place))) for here in asked} == roles


def test_what_counts_as_feedforward_can_be_said(bank):
    handle = stirred(bank, bank.fresh(request("ia3", targets=["mlp"], feedforward=["mlp.up"]), seed=0))
    names = {here.place.role: set(here.params) for here in bank[handle].placed.values()}
    assert names == {"mlp.gate": {"gain_O"}, "mlp.up": {"gain_I"}, "mlp.down": {"gain_O"}}


def test_a_small_gain_of_inputs_counts_in_bfloat16(load, tokens_BT):
    bank, seen = AdapterBank(load("llama", "bfloat16")), []
    handle = bank.fresh(request("ia3", targets=["mlp.down"], layers=[0]), seed=0)
    (here,) = bank[handle].placed.values()
    here.params["gain_I"].mul_(1.003)  # less than half a step of bfloat16 above 1
    bank.module(here.place.name).register_forward_pre_hook(lambda module, args: seen.append(args[0].float()))
    for row in (handle, None):
        with torch.no_grad(), bank.route([row] * 4):
            bank.base.model(input_ids=tokens_BT(4, 100))
    ratio = (seen[0] * seen[1]).sum() / seen[1].square().sum()
    assert ratio == pytest.approx(1.003, abs=3e-4)


def test_a_role_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(SpecError) as refused:
        request("ia3", feedforward=["mlp.dwon"])
    assert str(refused.value) == "feedforward = 'mlp.dwon': expected a role of layers. Did you mean 'mlp.down'?"


def test_ia3_has_few_numbers(bank):
    adapter = bank[bank.fresh(request("ia3"), seed=0)]
    assert adapter.num_params == 3 * (16 + 16 + 48)
