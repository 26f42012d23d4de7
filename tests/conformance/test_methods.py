"""What every adapter method must do. A new method joins by being in the catalog."""

from types import UnionType
from typing import Literal, Union, get_args, get_origin

import pytest
import torch

from graftwork.adapters import methods
from graftwork.adapters.adapter import Adapter, Placed, fresh, places_of, resolved
from graftwork.adapters.method import METHODS
from graftwork.adapters.route import Route, segments
from graftwork.adapters.sites import linear_output
from graftwork.base.facts import BaseFacts, LinearPlace
from graftwork.core.spec import parse, plain

INSIDE = LinearPlace(name="model.layers.1.mlp.up_proj", role="mlp.up", in_features=6, out_features=10, layer=1)
BELOW = LinearPlace(name="model.layers.0.self_attn.q_proj", role="attention.q", in_features=6, out_features=6, layer=0)
FACTS = BaseFacts(
    architecture="Tiny",
    num_layers=2,
    hidden_size=6,
    vocab_size=10,
    context_tokens=None,
    num_params=0,
    places=(BELOW, INSIDE),
)
OTHER_VALUES = {
    "targets": [["mlp"], ["q_proj"]],
    "layers": [[0], {"start_frac": 0.5}],
    "rank": [3, {"kind": "uniform", "rank": 3}, {"kind": "tiered", "bottom": 1, "middle": 2, "top": 3}],
}
"""Values beside the default, for fields whose type alone does not give them."""

pytestmark = pytest.mark.parametrize("method", [METHODS[name] for name in METHODS], ids=list(METHODS))


def request(method, **asked):
    return parse(method.spec, {"method": method.name, **asked})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def weight(place=INSIDE, dtype=torch.float64):
    return torch.randn(place.out_features, place.in_features, generator=generator(1), dtype=dtype)


def here(method, place=INSIDE, **asked):
    return resolved(request(method, **asked), place, FACTS.num_layers)


def lively(method, spec, place=INSIDE, dtype=torch.float64):
    started = method.init(spec, weight(place), generator(2))
    draw = generator(3)
    return {name: torch.randn(t.shape, generator=draw, dtype=dtype) + t.to(dtype) for name, t in started.items()}


def inputs(dtype=torch.float64, num_tokens=5):
    x_NI = torch.randn(num_tokens, INSIDE.in_features, generator=generator(4), dtype=dtype)
    return x_NI, weight(dtype=dtype), x_NI @ weight(dtype=dtype).T


def test_its_file_is_imported_by_name(method):
    assert method.name in methods.__all__


def test_it_says_where_its_mathematics_comes_from(method):
    assert method.source.startswith("https://")


def test_every_field_of_its_spec_is_described(method):
    assert [name for name, field in method.spec.model_fields.items() if not field.description] == []


def test_its_spec_is_named_by_the_catalog_and_comes_back_from_plain_data(method):
    spec = request(method)
    assert spec.method == method.name
    assert parse(method.spec, plain(spec)) == spec


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_a_fresh_adapter_changes_nothing(method, dtype):
    if not method.neutral:
        pytest.skip("it says that it is not neutral")
    spec = here(method)
    x_NI, weight_OI, base_NO = inputs(dtype)
    params = method.init(spec, weight_OI, generator())
    assert torch.equal(method.apply(spec, params, x_NI, weight_OI, base_NO), base_NO)


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_its_start_has_the_declared_names_shapes_and_type(method, rank):
    spec = here(method, rank=rank)
    started = method.init(spec, weight(dtype=torch.bfloat16), generator())
    assert {name: tuple(t.shape) for name, t in started.items()} == method.shapes(spec, INSIDE)
    assert {t.dtype for t in started.values()} == {torch.float32}


def test_its_start_is_drawn_from_the_generator_it_is_given(method):
    spec, before = here(method), torch.random.get_rng_state()
    first, second, other = (method.init(spec, weight(), generator(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_merging_computes_what_applying_computes(method):
    if method.merge is None:
        pytest.skip("it says that it cannot be merged")
    spec = here(method)
    params, (x_NI, weight_OI, base_NO) = lively(method, spec), inputs()
    applied_NO = method.apply(spec, params, x_NI, weight_OI, base_NO)
    merged_OI = method.merge(spec, params, weight_OI)
    assert merged_OI.dtype == weight_OI.dtype
    torch.testing.assert_close(x_NI @ merged_OI.T, applied_NO, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(applied_NO, base_NO)


def test_every_trained_tensor_gets_a_gradient_and_nothing_else_does(method):
    spec = here(method)
    params, (x_NI, weight_OI, base_NO) = lively(method, spec), inputs()
    for tensor in params.values():
        tensor.requires_grad_()
    method.apply(spec, params, x_NI, weight_OI, base_NO).square().sum().backward()
    assert all(t.grad is not None and t.grad.abs().max() > 0 for t in params.values())
    assert weight_OI.grad is None


def test_the_gradient_is_the_slope(method):
    spec = here(method)
    params, (x_NI, weight_OI, base_NO) = lively(method, spec), inputs(num_tokens=2)
    names = list(params)

    def output(*tensors):
        return method.apply(spec, dict(zip(names, tensors, strict=True)), x_NI, weight_OI, base_NO)

    assert torch.autograd.gradcheck(output, [params[name].requires_grad_() for name in names])


def test_applying_and_merging_change_nothing_they_are_given(method):
    spec = here(method)
    params, (x_NI, weight_OI, base_NO) = lively(method, spec), inputs()
    given = [*params.values(), x_NI, weight_OI, base_NO]
    before = [t.clone() for t in given]
    method.apply(spec, params, x_NI, weight_OI, base_NO)
    if method.merge:
        method.merge(spec, params, weight_OI)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_a_base_in_bfloat16_is_answered_in_bfloat16(method):
    spec = here(method)
    params = lively(method, spec, dtype=torch.float32)
    assert method.apply(spec, params, *inputs(torch.bfloat16)).dtype == torch.bfloat16


def test_a_token_is_answered_the_same_whoever_stands_beside_it(method):
    spec = here(method)
    params, (x_NI, weight_OI, base_NO) = lively(method, spec), inputs()
    whole = method.apply(spec, params, x_NI, weight_OI, base_NO)
    alone = torch.cat([method.apply(spec, params, x_NI[i, None], weight_OI, base_NO[i, None]) for i in range(5)])
    torch.testing.assert_close(whole, alone, rtol=1e-13, atol=1e-13)


def test_a_place_starts_the_same_whichever_others_are_adapted(method):
    alone = fresh(request(method, targets=["mlp"]), FACTS, lambda _: weight(), seed=1).placed[INSIDE.name]
    among = fresh(request(method), FACTS, lambda name: weight(FACTS.by_name[name]), seed=1).placed
    assert all(torch.equal(alone.params[name], among[INSIDE.name].params[name]) for name in alone.params)


def test_no_option_is_accepted_and_then_ignored(method):
    usual = observed(method, request(method))
    fields = [name for name in method.spec.model_fields if name != "method"]
    others = [(name, value) for name in fields for value in other_values(method.spec, name)]
    assert {name for name, _ in others} == set(fields)
    ignored = [(n, value) for n, value in others if observed(method, request(method, **{n: value})) == usual]
    assert ignored == []


def other_values(spec, name):
    """Values of a field that are not its default."""
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    field, default = spec.model_fields[name], spec.model_fields[name].default
    options = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else [field.annotation]
    literals = [v for option in options if get_origin(option) is Literal for v in get_args(option)]
    if literals or isinstance(default, bool):
        return [value for value in literals or (True, False) if value != default]
    return [default / 2 if default else 0.5]


def observed(method, spec):
    """All that a spec can do: places, shapes, start, output, output while training."""
    seen = {}
    for name, (place, _, local) in places_of(spec, FACTS).items():
        started = method.init(local, weight(place), generator(2))
        seen[name, "start"] = {n: t.tolist() for n, t in started.items()}
        placed = Placed(place=place, method=method, spec=local, params=lively(method, local, place))
        adapter = Adapter(spec=spec, placed={name: placed})
        for training in (False, True):
            seen[name, training] = site_output(adapter, place, training).tolist()
    return seen


def site_output(adapter, place, training):
    module = torch.nn.Linear(place.in_features, place.out_features, dtype=torch.float64)
    x_BTI = torch.randn(1, 7, place.in_features, generator=generator(4), dtype=torch.float64)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module.weight.copy_(weight(place))
        module.bias.zero_()
        route = Route(segments([adapter], [1]), unit="rows", training=training)
        return linear_output(route, place.name, module, x_BTI, module(x_BTI))
