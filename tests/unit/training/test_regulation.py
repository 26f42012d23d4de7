"""L2, a rate for B, averages: each is what its formula says, changes something, and goes on bit for bit."""

import pytest
import torch
from tests.support.methods import request

from graftwork.adapters.method import METHODS
from graftwork.core.spec import plain
from graftwork.training.averaging import averages_of, settle, settled, take_in
from graftwork.training.checkpoints import restore_newest, save_checkpoint
from graftwork.training.optimizers import OUTPUT_FACTORS, is_output_factor
from graftwork.training.regularise import add_l2

OPTIONS = [
    {"l2": 0.05},
    {"optimizer": {"weight_decay": 0.05}},
    {"optimizer": {"b_rate_ratio": 8.0}},
    {"ema_decay": 0.8},
    {"ema_decay": 0.8, "l2": 0.01, "optimizer": {"b_rate_ratio": 4.0, "weight_decay": 0.01}, "spectral_cap": 0.4},
]


def ended(run):
    """The adapter as it would be written."""
    run.run()
    if run.job.averages:
        settle(run.job.averages)
    return run.adapter.digest()


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_each_option_makes_another_adapter(training, option):
    assert ended(training(num_steps=3, **option)) != ended(training(num_steps=3))


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_a_resumed_run_ends_with_the_same_bytes(training, option, tmp_path):
    asked = {"dtype": "bfloat16", "num_steps": 7, "schedule": {"kind": "cosine"}, **option}
    whole, first, second = (training(**asked) for _ in range(3))
    digest = ended(whole)
    first.run(4)
    save_checkpoint(tmp_path, step=4, job="j", params=first.params, optimizer=first.optimizer, beside=first.beside)
    told = {"params": second.params, "optimizer": second.optimizer, "beside": second.beside}
    assert restore_newest(tmp_path, job="j", **told) == (4, [])
    second.job = second.job_from(4, 7)
    assert ended(second) == digest


def adam_by_hand(theta, gradients, *, rate, l2=0.0, decay=0.0):
    """Adam with both, in its formulas."""
    mean, square = torch.zeros_like(theta), torch.zeros_like(theta)
    for t, gradient in enumerate(gradients, 1):
        whole = gradient + l2 * theta
        theta = theta - rate * decay * theta
        mean, square = 0.9 * mean + 0.1 * whole, 0.999 * square + 0.001 * whole.square()
        theta = theta - rate * (mean / (1 - 0.9**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-8)
    return theta


@pytest.mark.parametrize(("l2", "decay"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.2, 0.1)])
def test_l2_goes_through_adam_and_decay_goes_past_it(training, l2, decay):
    told = {"optimizer": {"weight_decay": decay}, "l2": l2, "max_grad_norm": None, "learning_rate": 0.02}
    run = training(num_steps=4, **told)
    name = next(name for name in run.params if name.endswith("a_RI"))
    tensor, start = run.params[name], run.params[name].detach().clone()
    gradients = []

    def keep(*_):
        gradients.append(tensor.grad - l2 * tensor.detach())

    run.optimizer.register_step_pre_hook(keep)
    run.run()
    expected = adam_by_hand(start, gradients, rate=0.02, l2=l2, decay=decay)
    torch.testing.assert_close(tensor.detach(), expected, rtol=1e-12, atol=1e-14)


def test_the_l2_term_is_half_lambda_times_the_sum_of_squares_and_its_gradient_is_exact():
    generator = torch.Generator().manual_seed(0)
    leaves = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in ((3, 4), (5,), (2, 2))]
    loss = leaves[0].sum() ** 2 + leaves[1].sum()  # the last is not used by the step
    term = 0.7 / 2 * sum(leaf.square().sum() for leaf in leaves)
    expected = torch.autograd.grad(loss + term, leaves, retain_graph=True)
    loss.backward()
    assert add_l2(leaves, 0.7) == pytest.approx(term.item(), rel=1e-14)
    for leaf, gradient in zip(leaves, expected, strict=True):
        torch.testing.assert_close(leaf.grad, gradient, rtol=1e-13, atol=0)


def test_the_l2_term_is_told_as_part_of_the_penalty(training):
    run = training(num_steps=2, l2=0.1)
    term = 0.05 * sum(t.detach().square().sum().item() for t in run.params.values())
    assert run.run()[0].penalty == pytest.approx(term)
    assert {report.penalty for report in training(num_steps=2).run()} == {0.0}


def test_a_step_cut_otherwise_has_the_same_l2(training):
    cuts = [{"batch_size": 6, "accumulation": 1}, {"batch_size": 2, "accumulation": 3}]
    ends = []
    for cut in cuts:
        run = training(num_steps=3, l2=0.1, **cut)
        run.run()
        ends.append(run.params)
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", [{"kind": "constant"}, {"kind": "cosine", "warmup_frac": 0.5}])
def test_b_learns_at_its_multiple_of_the_rate_at_every_step(training, schedule):
    run, used = training(num_steps=4, schedule=schedule, optimizer={"b_rate_ratio": 16.0}), []
    run.optimizer.register_step_pre_hook(lambda o, *_: used.append([group["lr"] for group in o.param_groups]))
    reports = run.run()
    assert used == [[report.learning_rate, 16 * report.learning_rate] for report in reports]
    of_a, of_b = (group["params"] for group in run.optimizer.param_groups)
    names = {id(tensor): name for name, tensor in run.params.items()}
    assert {names[id(t)].rpartition("/")[2] for t in of_a} == {"a_RI"}
    assert {names[id(t)].rpartition("/")[2] for t in of_b} == {"b_OR"}
    assert len(of_a) == len(of_b) == len(run.params) / 2


def test_the_first_step_moves_b_by_its_own_rate(training):
    run = training(num_steps=1, learning_rate=0.001, optimizer={"b_rate_ratio": 8.0})
    run.run()
    moved = [t.detach().abs().max().item() for name, t in run.params.items() if is_output_factor(name)]
    assert max(moved) == pytest.approx(0.008, rel=1e-3)  # Adam's first step is its rate


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].merges])
def test_every_trained_factor_b_is_known_as_one(training, name):
    run = training(adapter=dict(plain(request(name))), num_steps=1)
    named = {told.rpartition("/")[2] for told in run.params}
    assert {told for told in named if told.startswith("b_")} == named & set(OUTPUT_FACTORS)


def test_those_of_experts_are_too(training):
    run = training(family="mixtral", adapter={"method": "lora", "rank": 2, "targets": ["experts"]}, num_steps=1)
    named = {told.rpartition("/")[2] for told in run.params}
    assert {told for told in named if told.startswith("b_")} == named & set(OUTPUT_FACTORS) == {"b_EOR"}


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_is_the_weighted_mean_of_the_tensors_after_each_step(training, decay):
    run = training(num_steps=6, ema_decay=decay)
    after = []
    for _ in range(6):
        (report,) = run.run(1)
        after.append({name: t.detach().clone() for name, t in run.params.items()})
        run.job = run.job_from(report.step, 6)
    weights = [decay ** (6 - i) for i in range(1, 7)]
    settle(run.job.averages)
    for name, tensor in run.params.items():
        mean = sum(w * one[name] for w, one in zip(weights, after, strict=True)) / sum(weights)
        torch.testing.assert_close(tensor.detach(), mean, rtol=1e-12, atol=1e-15)


def test_the_training_itself_does_not_know_of_the_average(training):
    averaged, other = training(num_steps=5, ema_decay=0.9), training(num_steps=5)
    averaged.run()
    other.run()
    assert averaged.adapter.digest() == other.adapter.digest()
    with settled(averaged.job.averages):
        assert averaged.adapter.digest() != other.adapter.digest()
    assert averaged.adapter.digest() == other.adapter.digest()


def test_the_average_of_one_step_is_that_step_and_of_none_the_start():
    leaf = torch.tensor([3.0, 4.0]).requires_grad_()
    averages = averages_of({"x": leaf}, 0.99)
    settle(averages)
    assert leaf.tolist() == [3.0, 4.0]
    take_in(averages)
    assert averages.state["x"].tolist() == [3.0, 4.0]
    assert averages_of({"x": leaf}, None) is None


def test_a_capped_run_averages_to_an_adapter_below_the_cap(training):
    run = training(num_steps=6, ema_decay=0.7, spectral_cap=0.3, learning_rate=0.09)
    run.run()
    settle(run.job.averages)
    assert all(torch.linalg.matrix_norm(t.detach(), 2) <= 0.3 * (1 + 1e-12) for t in run.params.values())
