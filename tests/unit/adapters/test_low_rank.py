"""The hand-ordered low-rank update: its gradients are the slopes, and it keeps no copy of its input."""

import pytest
import torch

from graftwork.adapters.form import Memo
from graftwork.adapters.low_rank import cast, expand, shrink


def drawn(*shape, dtype=torch.float64, grad=True):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype).requires_grad_(grad)


def updated(x_NI, base_NO, down_RI, up_OR, scale=1.7):
    (z_NR,) = shrink(x_NI, [down_RI], [down_RI.detach()])
    return expand(base_NO, z_NR, up_OR, up_OR.detach(), scale)


def plainly(x_NI, base_NO, down_RI, up_OR, scale=1.7):
    return base_NO + scale * x_NI @ down_RI.T @ up_OR.T


def test_it_is_the_formula_and_its_gradients_are_the_slopes():
    tensors = drawn(5, 7), drawn(5, 6), drawn(3, 7), drawn(6, 3)
    torch.testing.assert_close(updated(*tensors), plainly(*tensors))
    found = torch.autograd.grad(updated(*tensors).square().sum(), tensors)
    expected = torch.autograd.grad(plainly(*tensors).square().sum(), tensors)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (2, 3), (0, 1)], ids=str)
def test_each_gradient_comes_alone_too(wanted):
    tensors = [drawn(5, 7), drawn(5, 6), drawn(3, 7), drawn(6, 3)]
    for i, tensor in enumerate(tensors):
        tensor.requires_grad_(i in wanted)
    leaves = [tensors[i] for i in wanted]
    found = torch.autograd.grad(updated(*tensors).square().sum(), leaves)
    expected = torch.autograd.grad(plainly(*tensors).square().sum(), leaves)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_several_layers_share_their_first_product_and_its_gradient():
    x_NI, downs = drawn(5, 7), [drawn(3, 7), drawn(1, 7), drawn(2, 7)]
    together = shrink(x_NI, downs, [down.detach() for down in downs])
    apart = [x_NI @ down.T for down in downs]
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(a, b)
    weights = [1.0, 2.0, 3.0]
    found, expected = (
        torch.autograd.grad(sum(w * z.square().sum() for w, z in zip(weights, zs, strict=True)), [x_NI, *downs])
        for zs in (together, apart)
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_base_in_bfloat16_gives_gradients_in_the_type_of_the_masters():
    x_NI, base_NO = drawn(5, 8, dtype=torch.bfloat16), drawn(5, 6, dtype=torch.bfloat16)
    down_RI, up_OR, memo = drawn(3, 8, dtype=torch.float32), drawn(6, 3, dtype=torch.float32), Memo()
    (z_NR,) = shrink(x_NI, [down_RI], [cast(down_RI, torch.bfloat16, "down", memo)])
    y_NO = expand(base_NO, z_NR, up_OR, cast(up_OR, torch.bfloat16, "up", memo), 2.0)
    y_NO.sum().backward()
    assert (y_NO.dtype, x_NI.grad.dtype) == (torch.bfloat16, torch.bfloat16)
    assert (down_RI.grad.dtype, up_OR.grad.dtype) == (torch.float32, torch.float32)


def test_a_master_is_cast_once_for_each_of_its_versions():
    master, memo = drawn(3, 8, dtype=torch.float32), Memo()
    first = cast(master, torch.bfloat16, "down", memo)
    assert cast(master, torch.bfloat16, "down", memo) is first
    with torch.no_grad():
        master.add_(1)
    assert torch.equal(cast(master, torch.bfloat16, "down", memo), master.detach().bfloat16())


def test_it_keeps_its_input_by_reference_and_nothing_else_of_its_size():
    x_NI, base_NO, down_RI, up_OR = drawn(50, 70), drawn(50, 60), drawn(3, 70), drawn(60, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        updated(x_NI, base_NO, down_RI, up_OR)
    large = [t for t in kept if t.numel() > 50 * 3 * 2]
    assert [t.data_ptr() for t in large] == [x_NI.data_ptr()]


def test_a_second_derivative_is_refused_and_not_wrong():
    tensors = drawn(5, 7), drawn(5, 6), drawn(3, 7), drawn(6, 3)
    (grad,) = torch.autograd.grad(updated(*tensors).square().sum(), tensors[2], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_layers_with_other_inputs_than_their_neighbours_learn_all_the_same(bank, lively):
    handle = lively(bank)
    mlp = bank.base.model.model.layers[0].mlp
    first, second = drawn(1, 3, 32, grad=False), drawn(1, 2, 32, grad=False)
    with bank.route([handle], training=True):
        expected = mlp.up_proj(second)
    with bank.route([handle], training=True):
        mlp.gate_proj(first)
        torch.testing.assert_close(mlp.up_proj(second), expected)
        mlp.gate_proj(second)
        torch.testing.assert_close(mlp.up_proj(second), expected)
