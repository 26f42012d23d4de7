"""The loop: rates as scheduled, gradients clipped, factors capped, nothing kept of a step that is no number."""

from itertools import pairwise

import pytest
import torch

from graftwork.core.errors import WorkError
from graftwork.core.spec import parse
from graftwork.training.checkpoints import restore_newest, save_checkpoint
from graftwork.training.memory import checkpoint_activations
from graftwork.training.schedule import rate_factor
from graftwork.training.spec import TrainSpec
from graftwork.training.spectral import hold_below, largest_singular_value


@pytest.mark.parametrize(
    "schedule",
    [{"kind": "constant"}, {"kind": "constant", "warmup_frac": 0.5}, {"kind": "cosine", "final_frac": 0.1}],
    ids=str,
)
def test_the_rate_is_the_one_scheduled_and_the_one_used(training, schedule):
    run = training(schedule=schedule, learning_rate=0.02, num_steps=6)
    used = []
    run.optimizer.register_step_pre_hook(lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"]))
    reports = run.run()
    expected = [0.02 * rate_factor(run.job.spec.schedule, step, 6) for step in range(6)]
    assert used == [report.learning_rate for report in reports] == expected


def test_steps_are_counted_from_the_first_one_left(training):
    assert [report.step for report in training(num_steps=7, first_step=4).run()] == [5, 6, 7]
    assert training(num_steps=4, first_step=4).run() == []


def test_seconds_are_those_of_the_clock_it_is_given(training):
    assert [report.seconds for report in training(num_steps=2).run()] == [1.0, 1.0]


@pytest.mark.parametrize(("most", "clipped"), [(1e-3, True), (1e9, False), (None, False)])
def test_the_gradient_is_scaled_down_to_the_norm_asked_and_reported_before(training, most, clipped):
    run, norms = training(max_grad_norm=most, num_steps=2), []
    run.optimizer.register_step_pre_hook(
        lambda *_: norms.append(torch.stack([p.grad.norm() for p in run.params.values()]).norm().item())
    )
    for report, norm in zip(run.run(), norms, strict=True):
        assert report.grad_norm > 1e-2
        assert norm == pytest.approx(most if clipped else report.grad_norm, rel=1e-4)


def test_gradients_are_gone_after_each_step(training):
    run = training(num_steps=1)
    run.run()
    assert all(p.grad is None for p in run.params.values())


def test_weight_decay_and_adams_other_settings_reach_the_optimizer(training):
    told = {"weight_decay": 0.03, "beta1": 0.5, "beta2": 0.6, "eps": 1e-5}
    (group,) = training(optimizer=told, learning_rate=0.03).optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"], group["eps"]) == (0.03, 0.03, (0.5, 0.6), 1e-5)


@pytest.mark.parametrize("rate", [1e-3, 0.099])
def test_every_factor_is_below_the_cap_after_every_step(training, rate):
    run = training(spectral_cap=0.5, learning_rate=rate, num_steps=6, max_grad_norm=None)
    seen = []
    for _ in range(6):
        (report,) = run.run(1)
        seen.append(report.max_singular_value)
        largest = max(torch.linalg.matrix_norm(p.detach(), 2).item() for p in run.params.values())
        assert largest <= 0.5 * (1 + 1e-12)
        run.job = run.job_from(report.step, 6)
    assert seen[0] > 0.5


def test_a_cap_is_held_against_an_update_of_any_size(training):
    run = training(spectral_cap=2.0, num_steps=3)
    run.optimizer.register_step_post_hook(lambda *_: [p.data.mul_(1e12) for p in run.params.values()])
    for report in run.run():
        assert report.max_singular_value > 1e6
        assert all(largest_singular_value(p) <= 2.0 * (1 + 1e-12) for p in run.params.values())


def test_without_a_cap_nothing_is_held(training):
    assert {report.max_singular_value for report in training(num_steps=2).run()} == {None}


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (1, 7)])
def test_the_largest_singular_value_is_that_of_the_decomposition(shape):
    factor = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert largest_singular_value(factor) == pytest.approx(torch.linalg.svdvals(factor)[0].item(), rel=1e-12)


def test_holding_scales_and_keeps_directions():
    big, small = torch.diag(torch.tensor([4.0, 2.0])), torch.eye(2)
    assert hold_below([big, small, torch.full((3,), 99.0)], 1.0) == 4.0
    torch.testing.assert_close(big, torch.diag(torch.tensor([1.0, 0.5])))
    assert torch.equal(small, torch.eye(2))
    assert hold_below([], 1.0) == 0.0


def spoil(run):
    """Make the base say nothing that is a number, from now on."""
    with torch.no_grad():
        run.bank.base.model.lm_head.weight.fill_(float("nan"))


def test_a_loss_that_is_no_number_names_the_records_and_keeps_the_adapter(training, records):
    run = training(records=records(3), batch_size=2, accumulation=1, num_steps=5)
    run.run(2)
    digest = run.adapter.digest()
    moments = [{k: v.clone() for k, v in run.optimizer.state[p].items()} for p in run.params.values()]
    spoil(run)
    run.job = run.job_from(2, 5)
    with pytest.raises(WorkError) as raised:
        run.run()
    said = str(raised.value)
    assert said.startswith("step 3: loss nan, gradient norm nan; both must be finite. Its records: records.jsonl line ")
    assert said.count("records.jsonl line") == 2
    assert run.adapter.digest() == digest
    for before, param in zip(moments, run.params.values(), strict=True):
        assert all(torch.equal(before[k], run.optimizer.state[param][k]) for k in before)


def test_a_gradient_that_is_no_number_leaves_none_behind(training):
    run = training(num_steps=1)
    next(iter(run.params.values())).register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(WorkError, match="gradient norm"):
        run.run()
    assert all(p.grad is None for p in run.params.values())


def test_the_same_seed_is_the_same_adapter_and_another_is_not(training):
    def digest(seed):
        run = training(seed=seed, num_steps=4, adapter={"dropout": 0.3})
        run.run()
        return run.adapter.digest()

    first = digest(1)
    torch.manual_seed(123)  # what other code drew before must not matter
    assert digest(1) == first != digest(2)


def test_dropout_leaves_the_random_numbers_of_others_alone(training):
    before = torch.random.get_rng_state()
    training(num_steps=2, adapter={"dropout": 0.3}).run()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("dropout", "different"), [(0.0, 1), (0.5, 6)])
def test_dropout_draws_another_mask_at_every_step(training, records, dropout, different):
    run = training(records=records(1), adapter={"dropout": dropout}, batch_size=1, learning_rate=1e-300, num_steps=6)
    with torch.no_grad():
        for name, tensor in run.adapter.tensors():
            tensor.fill_(0.1 if name.endswith("b_OR") else 1.0)
    assert len({report.loss_nats for report in run.run()}) == different


def test_dropout_draws_another_mask_in_every_cut_of_a_step(training, records):
    run = training(records=records(1), adapter={"dropout": 0.5}, batch_size=1, accumulation=4, num_steps=1)
    seen = []
    layer = run.bank.base.model.get_submodule("model.layers.2.mlp.down_proj")
    for tensor in run.params.values():
        tensor.data.fill_(0.1)
    layer.register_forward_hook(lambda *told: seen.append(told[2].detach().sum().item()))
    run.run()
    assert len(seen) == len(set(seen)) == 4


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_is_the_run_uninterrupted(tmp_path, training, dropout, checkpointed):
    def begin():
        run = training(adapter={"dropout": dropout}, schedule={"kind": "cosine"}, num_steps=10, dtype="float32")
        if checkpointed:
            checkpoint_activations(run.bank)
        return run

    whole, first, second = begin(), begin(), begin()
    reports = whole.run()
    first.run(5)
    save_checkpoint(tmp_path, step=5, job="j", params=first.params, optimizer=first.optimizer)
    done, skipped = restore_newest(tmp_path, job="j", params=second.params, optimizer=second.optimizer)
    assert (done, skipped) == (5, [])
    second.job = second.job_from(5, 10)
    assert second.run() == reports[5:]
    assert second.adapter.digest() == whole.adapter.digest()
    for ours, theirs in zip(second.params.values(), whole.params.values(), strict=True):
        state, expected = second.optimizer.state[ours], whole.optimizer.state[theirs]
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[k], expected[k]) and state[k].dtype == expected[k].dtype for k in state)


def test_recomputing_activations_changes_no_step(training):
    kept, recomputed = (training(family="gpt2", adapter={"dropout": 0.2}, num_steps=3) for _ in range(2))
    checkpoint_activations(recomputed.bank)
    for a, b in zip(kept.run(), recomputed.run(), strict=True):
        assert a.loss_nats == pytest.approx(b.loss_nats, abs=1e-10)


def test_not_a_byte_of_the_base_moves(training):
    run = training(num_steps=3, adapter={"dropout": 0.1})
    before = run.bank.base.tensor_digest()
    run.run()
    assert run.bank.base.tensor_digest() == before


def test_long_lists_of_records_are_cut_in_the_message(training, records):
    run = training(records=records(14), batch_size=12, accumulation=1, num_steps=1)
    spoil(run)
    with pytest.raises(WorkError, match=r"line \d+ \.\.\.\. Lower training") as raised:
        run.run()
    assert str(raised.value).count("line") == 8


def test_every_step_sees_all_records_once_an_epoch(training, records):
    run = training(records=records(6), batch_size=3, accumulation=2, num_steps=2)
    assert [report.num_targets for report in run.run()] == [sum(r.num_targets for r in records(6))] * 2
    rates = [report.learning_rate for report in run.run()]
    assert all(a == b for a, b in pairwise(rates))
    assert parse(TrainSpec, {"batch_size": 3, "accumulation": 2}).records_per_step == 6
