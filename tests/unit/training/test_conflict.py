"""Tasks that share an adapter: looking at their gradients changes nothing, projecting them is PCGrad."""

import pytest
import torch

from graftwork.core.errors import SpecError, WorkError
from graftwork.core.spec import parse, plain
from graftwork.data.batches import Mixture
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.checkpoints import restore_newest, save_checkpoint
from graftwork.training.conflict import AT_ONCE, products_of
from graftwork.training.conflict_weights import orders
from graftwork.training.passes import step_of
from graftwork.training.probe import peak_of_step
from graftwork.training.spec import TrainSpec
from graftwork.training.spectral import largest_singular_value

SIZES = (6, 6)


def quarrelling(sizes=SIZES):
    """Records of several tasks: the same questions, another answer in each task."""
    draw = torch.Generator().manual_seed(3)
    questions = [torch.randint(0, 256, (5 + i % 4,), generator=draw).tolist() for i in range(max(sizes))]
    made = []
    for task, size in enumerate(sizes):
        for i in range(size):
            tokens = [*questions[i], 7 + 50 * task, 9 + 30 * task]
            is_target = (False,) * len(questions[i]) + (True, True)
            made.append(Encoded(tuple(tokens), is_target, Origin(f"{task}.jsonl", i + 1), task))
    return made


@pytest.fixture
def tasks(training):
    """`tasks(conflicts=..., sizes=...)`: a job on records of several tasks."""

    def begin(*, sizes=SIZES, weights=None, num_steps=4, made=None, **asked):
        run = training(records=made or quarrelling(sizes), num_steps=num_steps, **asked)
        run.told["mixture"] = Mixture(sizes, weights or (1.0,) * len(sizes))
        run.job = run.job_from(0, num_steps)
        return run

    return begin


def gradients_of(run, steps=1):
    """What the optimizer is given at the last of `steps` steps, by name; the reports beside it."""
    seen = {}
    run.optimizer.register_step_pre_hook(
        lambda *_: seen.update({name: None if t.grad is None else t.grad.clone() for name, t in run.params.items()})
    )
    return seen, run.run(steps)


def stirred(run):
    """The same adapter, moved off its start, where half of all gradients are zero."""
    draw = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for tensor in run.params.values():
            tensor.add_(torch.randn(tensor.shape, generator=draw, dtype=tensor.dtype) * 0.1)
    return run


def by_hand(run, number=0):
    """For each task of a step the gradient over all tensors as one vector, record by record."""
    step, vectors = step_of(run.job, number), {}
    model, params = run.bank.base.model, list(run.params.values())
    for index in sorted(step.indices):
        record = run.job.records[index]
        tokens_BT = torch.tensor([record.tokens_T])
        is_target_T = torch.tensor(record.is_target_T)
        with run.bank.route([run.handle], training=True):
            logits_TV = model(tokens_BT).logits[0].log_softmax(-1)
        nats = -logits_TV[:-1].gather(1, tokens_BT[0, 1:, None])[is_target_T[1:]].sum()
        told = torch.autograd.grad(nats / step.num_targets, params, allow_unused=True)
        flat = torch.cat(
            [torch.zeros(p.numel()) if g is None else g.reshape(-1) for g, p in zip(told, params, strict=True)]
        )
        vectors[record.source] = vectors.get(record.source, 0) + flat
    return [vectors[source] for source in sorted(vectors)]


CUTS = [
    {"batch_size": 4, "accumulation": 3},
    {"batch_size": 12, "accumulation": 1, "packing": "off"},
    {"batch_size": 12, "accumulation": 1, "packing": {"row_tokens": 20}},
    {"batch_size": 2, "accumulation": 6},
]


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("sizes", [(6, 6), (5, 4, 3)], ids=str)
def test_reporting_changes_no_gradient_beyond_rounding(tasks, cut, sizes):
    off, _ = gradients_of(stirred(tasks(sizes=sizes, **cut)))
    report, (told,) = gradients_of(stirred(tasks(sizes=sizes, conflicts="report", **cut)))
    for name, gradient in off.items():
        torch.testing.assert_close(report[name], gradient, rtol=1e-11, atol=1e-15)
    assert len(told.conflicts.tasks) == len(sizes)


def test_a_training_that_reports_ends_where_one_without_ends(tasks):
    off, report = tasks(num_steps=6), tasks(num_steps=6, conflicts="report")
    for one, other in zip(off.run(), report.run(), strict=True):
        assert other.loss_nats == pytest.approx(one.loss_nats, rel=1e-9)
        assert (one.conflicts, other.num_targets, other.num_tokens) == (None, one.num_targets, one.num_tokens)
    for name, tensor in off.params.items():
        torch.testing.assert_close(report.params[name], tensor, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("sizes", [(6, 6), (5, 4, 3)], ids=str)
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_projecting_gives_the_optimizer_what_the_paper_says(tasks, sizes, cut):
    run = stirred(tasks(sizes=sizes, conflicts="project", max_grad_norm=None, **cut))
    vectors = by_hand(run)
    expected = torch.zeros_like(vectors[0])
    for task, others in enumerate(orders(len(sizes), seed=0, step=0)):
        moved = vectors[task].clone()
        for other in others:
            if (along := moved @ vectors[other]) < 0:
                moved -= along / (vectors[other] @ vectors[other]) * vectors[other]
        expected += moved
    found, (told,) = gradients_of(run)
    flat = torch.cat([gradient.reshape(-1) for gradient in found.values()])
    torch.testing.assert_close(flat, expected, rtol=1e-9, atol=1e-13)
    plain_sum = sum(vectors)
    assert not torch.allclose(flat, plain_sum, rtol=1e-3), "these tasks are in conflict"
    assert told.conflicts.norm_ratio == pytest.approx(float(expected.norm() / plain_sum.norm()), rel=1e-9)
    assert told.grad_norm == pytest.approx(float(expected.norm()), rel=1e-9)
    for pair in told.conflicts.pairs:
        one, other = (vectors[source] for source in pair.sources)
        assert pair.cosine == pytest.approx(float(one @ other / one.norm() / other.norm()), rel=1e-9)
    assert [task.grad_norm for task in told.conflicts.tasks] == pytest.approx([float(v.norm()) for v in vectors])


def test_each_task_is_told_its_own_loss(tasks):
    run = tasks(conflicts="report", batch_size=8, accumulation=1)
    (told,) = run.run(1)
    whole = sum(task.loss_nats * task.num_targets for task in told.conflicts.tasks)
    assert whole / told.num_targets == pytest.approx(told.loss_nats, rel=1e-12)
    assert sum(task.num_targets for task in told.conflicts.tasks) == told.num_targets


def test_tasks_in_full_agreement_are_trained_as_without_projection_bit_for_bit(tasks):
    """As with `report`; `off` mixes the tasks in its passes, so it adds in another order."""
    same = [Encoded(one.tokens_T, one.is_target_T, one.origin, task) for task in (0, 1) for one in quarrelling((6,))]
    told = {"made": same, "batch_size": 12, "accumulation": 1, "dtype": "float32"}
    projected, reported, off = (tasks(conflicts=asked, **told) for asked in ("project", "report", "off"))
    reports = projected.run()
    assert reports == reported.run()
    assert projected.adapter.digest() == reported.adapter.digest()
    off.run()
    for name, tensor in off.params.items():
        # Adam's first steps are signs, so a rounding where a gradient is near zero shows; measured 2e-4 at most
        torch.testing.assert_close(projected.params[name], tensor, rtol=0, atol=2e-3)
    for report in reports:
        assert report.conflicts.pairs[0].angle_deg < 0.1
        assert report.conflicts.norm_ratio == 1.0


def test_a_step_that_has_one_task_alone_takes_its_gradient(tasks):
    """One step in several has no record of the rare task."""
    sizes, told = (10, 2), {"batch_size": 2, "accumulation": 1, "num_steps": 12}
    run, plain_run = tasks(sizes=sizes, conflicts="project", **told), tasks(sizes=sizes, **told)
    reports = run.run()
    sources = {tuple(task.source for task in report.conflicts.tasks) for report in reports}
    assert {(0,), (0, 1)} <= sources
    assert all(not r.conflicts.pairs and r.conflicts.norm_ratio == 1 for r in reports if len(r.conflicts.tasks) == 1)
    first = reports[0]
    if len(first.conflicts.tasks) == 1:
        assert first.grad_norm == pytest.approx(plain_run.run(1)[0].grad_norm)


def test_a_tensor_that_no_task_reaches_keeps_no_gradient(tasks):
    run = tasks(conflicts="project")
    unused = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    run.params["unused"] = unused
    run.optimizer.add_param_group({"params": [unused]})
    seen, _ = gradients_of(run)
    assert seen["unused"] is None


def test_a_tensor_that_one_task_reaches_is_compared_and_kept():
    one, other = [torch.tensor([3.0]), None, None], [torch.tensor([-1.0]), torch.tensor([2.0]), None]
    assert products_of([one, other]) == [[9.0, -3.0], [-3.0, 5.0]]
    assert products_of([[None], [None]]) == [[0.0, 0.0], [0.0, 0.0]]


def test_products_of_float32_are_added_in_float64():
    """Over more numbers than are compared at a time."""
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(AT_ONCE + 5, generator=draw) * 1e3 for _ in range(2))
    expected = float(one.double() @ other.double())
    assert products_of([[one], [other]])[0][1] == pytest.approx(expected, rel=1e-10)
    assert float(one @ other) != pytest.approx(expected, rel=1e-10), "in float32 it would not be so"


def test_the_gradient_is_clipped_and_factors_are_capped_after_projection(tasks):
    run = stirred(tasks(conflicts="project", max_grad_norm=1e-3, spectral_cap=0.5))
    seen, (told,) = gradients_of(run)
    assert told.grad_norm > 1e-2
    assert torch.stack([g.norm() for g in seen.values()]).norm().item() == pytest.approx(1e-3, rel=1e-4)
    assert max(largest_singular_value(tensor) for tensor in run.params.values()) <= 0.5 * (1 + 1e-12)


def test_what_is_added_to_the_loss_once_a_step_belongs_to_no_task(tasks):
    run, other = (stirred(tasks(conflicts="project", l2=l2, max_grad_norm=None)) for l2 in (0.0, 0.1))
    start = {name: tensor.detach().clone() for name, tensor in run.params.items()}
    (without, _), (with_l2, _) = gradients_of(run), gradients_of(other)
    for name, tensor in start.items():
        torch.testing.assert_close(with_l2[name] - without[name], 0.1 * tensor)


@pytest.mark.parametrize("asked", ["report", "project"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_is_the_run_uninterrupted(tmp_path, tasks, asked, dropout):
    def begin():
        return tasks(sizes=(5, 4, 3), conflicts=asked, num_steps=8, dtype="float32", adapter={"dropout": dropout})

    whole, first, second = begin(), begin(), begin()
    reports = whole.run()
    first.run(5)
    save_checkpoint(tmp_path, step=5, job="j", params=first.params, optimizer=first.optimizer)
    assert restore_newest(tmp_path, job="j", params=second.params, optimizer=second.optimizer) == (5, [])
    second.job = second.job_from(5, 8)
    assert second.run() == reports[5:]
    assert second.adapter.digest() == whole.adapter.digest()


def test_another_seed_frees_three_tasks_in_another_order(tasks):
    """The same adapter and records; the first task is in conflict with both others, so its order counts."""
    first = orders(3, seed=0, step=0)[0]
    another = next(seed for seed in range(1, 20) if orders(3, seed=seed, step=0)[0] != first)
    found = []
    for seed in (0, another):
        run = stirred(tasks(sizes=(4, 4, 4), conflicts="project", batch_size=12, accumulation=1))
        run.told["spec"] = parse(TrainSpec, {**plain(run.job.spec), "seed": seed})
        run.job = run.job_from(0, 4)
        seen, (told,) = gradients_of(run)
        assert [pair.cosine < 0 for pair in told.conflicts.pairs] == [True, True, False]
        found.append(seen)
    assert any(not torch.allclose(found[0][name], found[1][name], rtol=1e-6) for name in found[0])


def test_a_base_in_float16_has_the_same_angles_and_tries_an_overflow_again(tasks):
    told = {"conflicts": "project", "batch_size": 12, "accumulation": 1, "num_steps": 2}
    half, whole = tasks(dtype="float16", **told), tasks(**told)
    half.job.scale.state["scale"].fill_(2.0**40)
    (first, _), (expected, _) = half.run(), whole.run()
    assert first.skipped > 5
    assert first.conflicts.pairs[0].cosine == pytest.approx(expected.conflicts.pairs[0].cosine, abs=0.01)
    for ours, theirs in zip(first.conflicts.tasks, expected.conflicts.tasks, strict=True):
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=0.02), "the scale of the loss is not in it"
    assert first.conflicts.norm_ratio == pytest.approx(expected.conflicts.norm_ratio, abs=0.02)


def test_a_gradient_that_is_no_number_stops_with_the_records_and_changes_nothing(tasks):
    run = tasks(conflicts="project")
    next(iter(run.params.values())).register_hook(lambda gradient: gradient * float("inf"))
    before = run.adapter.digest()
    with pytest.raises(
        WorkError, match=r"step 1: loss .*, gradient norm .*; both must be finite. Its records: [01].json"
    ):
        run.run()
    assert run.adapter.digest() == before
    assert all(p.grad is None for p in run.params.values())


def test_memory_that_is_measured_counts_the_gradients_kept_apart(tasks):
    run, other = tasks(conflicts="project"), tasks()
    of_adapter = sum(leaf.nbytes for leaf in run.params.values())
    first = peak_of_step(other.job, 2)
    assert peak_of_step(run.job, 2) >= first + 2 * of_adapter


def test_a_step_of_one_record_has_no_two_tasks():
    with pytest.raises(SpecError) as raised:
        parse(TrainSpec, {"batch_size": 1, "conflicts": "report"})
    assert str(raised.value) == (
        "conflicts = 'report': expected off. A step of one record has one task. Raise batch_size or accumulation."
    )
    assert "conflicts" not in plain(parse(TrainSpec, {"conflicts": "off"})), "recipes without it keep their digest"
