"""A base in float16 is trained by a scaled loss: the same gradient, an overflow is tried again, the scale is kept."""

import pytest
import torch

from graftwork.base.head import nats_of_states
from graftwork.core.errors import WorkError
from graftwork.training.checkpoints import restore_newest, save_checkpoint
from graftwork.training.scaling import GROW_AFTER, LEAST, MOST, START, grow, loss_scale_for, scaled, unscale


def gradients_of(run, scale=None):
    """What the optimizer is given at the first step."""
    seen = {}
    if scale:
        run.job.scale.state["scale"].fill_(scale)
    run.optimizer.register_step_pre_hook(
        lambda *_: seen.update({name: t.grad.clone() for name, t in run.params.items()})
    )
    run.run(1)
    return seen


def test_the_scaled_loss_gives_the_gradient_of_float64(training):
    told = {"num_steps": 1, "max_grad_norm": None}
    half, whole = gradients_of(training(dtype="float16", **told)), gradients_of(training(**told))
    for name, gradient in whole.items():
        if gradient.norm():
            away = (half[name].double() - gradient).norm() / gradient.norm()
            assert away < 0.02, name  # float16 has 11 bits; measured 0.004 at most


def test_without_a_scale_small_gradients_are_lost_and_with_it_they_are_not(training):
    """A loss spread over very many targets has gradients below what float16 can hold."""

    def lost(scale):
        run = training(dtype="float16", num_steps=1, max_grad_norm=None)
        run.told["loss"] = lambda *told: nats_of_states(*told) * 2.0**-22
        run.job = run.job_from(0, 1)
        found = gradients_of(run, scale)
        b = [g for name, g in found.items() if name.endswith("b_OR")]
        return sum(int((g == 0).sum()) for g in b) / sum(g.numel() for g in b)

    assert lost(1.0) > 0.5 > 0.02 > lost(START)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_other_types_are_not_scaled(training, dtype):
    run = training(dtype=dtype, num_steps=1)
    assert run.job.scale is None
    assert run.run()[0].skipped == 0
    loss = torch.tensor(3.0)
    assert scaled(loss, None) is loss


def test_an_overflow_halves_the_scale_and_the_step_is_done_again(training):
    usual, run = training(dtype="float16", num_steps=3), training(dtype="float16", num_steps=3)
    run.job.scale.state["scale"].fill_(MOST * 2**20)
    reports, expected = run.run(), usual.run()
    assert reports[0].skipped > 5
    assert [report.skipped for report in reports[1:]] == [0, 0]
    assert [report.step for report in reports] == [1, 2, 3], "no step is left out"
    for ours, theirs in zip(reports, expected, strict=True):
        assert ours.loss_nats == pytest.approx(theirs.loss_nats, rel=1e-3)


def test_an_overflow_at_the_smallest_scale_stops_with_the_records(training):
    run = training(dtype="float16", num_steps=2)
    next(iter(run.params.values())).register_hook(lambda gradient: gradient * float("inf"))
    before = run.adapter.digest()
    with pytest.raises(
        WorkError, match=r"step 1: loss .*, gradient norm .*; both must be finite. Its records: records"
    ):
        run.run()
    assert run.job.scale.scale == LEAST
    assert run.adapter.digest() == before


def test_a_loss_that_is_no_number_is_not_tried_again(training):
    run = training(dtype="float16", num_steps=2)
    with torch.no_grad():
        run.bank.base.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(WorkError, match="step 1: loss nan"):
        run.run()
    assert run.job.scale.scale == START


def test_the_scale_doubles_after_so_many_updates_and_no_further_than_it_may():
    scale = loss_scale_for(torch.float16)
    for _ in range(GROW_AFTER - 1):
        grow(scale)
    assert scale.scale == START
    grow(scale)
    assert scale.scale == 2 * START
    for _ in range(20 * GROW_AFTER):
        grow(scale)
    assert scale.scale == MOST


def test_an_overflow_begins_the_count_anew():
    scale, leaf = loss_scale_for(torch.float16), torch.ones(1).requires_grad_()
    for _ in range(GROW_AFTER - 1):
        grow(scale)
    leaf.grad = torch.tensor([float("inf")])
    assert not unscale(scale, [leaf])
    grow(scale)
    assert scale.scale == START / 2


def test_gradients_come_back_to_their_size_or_are_cleared():
    scale, leaf = loss_scale_for(torch.float16), torch.ones(3).requires_grad_()
    scaled((leaf * torch.tensor([1.0, 2.0, 3.0])).sum(), scale).backward()
    assert leaf.grad.tolist() == [START, 2 * START, 3 * START]
    assert unscale(scale, [leaf])
    assert leaf.grad.tolist() == [1.0, 2.0, 3.0]
    leaf.grad[1] = float("inf")
    assert not unscale(scale, [leaf])
    assert leaf.grad is None
    assert scale.scale == START / 2


def test_a_resumed_run_in_float16_goes_on_with_its_scale_bit_for_bit(training, tmp_path):
    def begun(scale):
        run = training(dtype="float16", num_steps=6)
        run.job.scale.state["scale"].fill_(scale)
        return run

    whole, first, second = begun(2.0**40), begun(2.0**40), begun(2.0)
    assert sum(report.skipped for report in whole.run()) > 0
    first.run(3)
    save_checkpoint(tmp_path, step=3, job="j", params=first.params, optimizer=first.optimizer, beside=first.beside)
    told = {"params": second.params, "optimizer": second.optimizer, "beside": second.beside}
    assert restore_newest(tmp_path, job="j", **told) == (3, [])
    assert second.job.scale.scale == first.job.scale.scale != 2.0
    second.job = second.job_from(3, 6)
    second.run()
    assert second.adapter.digest() == whole.adapter.digest()
    assert second.job.scale.state["good"] == whole.job.scale.state["good"]


def test_a_run_in_float16_learns(training, records):
    run = training(dtype="float16", records=records(6), num_steps=15, learning_rate=0.005)
    losses = [report.loss_nats for report in run.run()]
    assert losses[-1] < 0.9 * losses[0]
