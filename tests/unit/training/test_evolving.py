"""What methods do between steps: penalties, states, what a checkpoint holds of them, what is kept at the end."""

from dataclasses import replace

import pytest
import torch

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.evolution import Evolution, schedule_problems
from graftwork.adapters.method import METHODS
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.training.checkpoints import restore_newest, save_checkpoint
from graftwork.training.evolving import evolving, finished, penalty_of

ADALORA = {"method": "adalora", "rank": 2, "init_rank": 4}
DYNAMIC = {"method": "dynamic_lora", "rank": 3, "cap": 6, "min_rank": 0}
COMBINED = {
    "method": "combined",
    "parts": [{**ADALORA, "targets": ["attention"]}, {**DYNAMIC, "targets": ["all"], "alpha": 4.0}],
}


def _begin(spec, placed):
    return {key: torch.zeros(2, dtype=torch.int64) for key in placed}


def _step(spec, placed, gradients, state, moment):
    for key, here in placed.items():
        state[key] += torch.tensor([moment.step, 1])
        here.params["shadow_OR"].mul_(0.5).add_(gradients[key]["b_OR"]).add_(state[key][0])
        here.params["a_RI"].add_(1e-3 * here.params["shadow_OR"].mean())


SHADOWED = replace(
    METHODS["lora"],
    kept=("shadow_OR",),
    evolution=Evolution(check=lambda *_: [], begin=_begin, step=_step, finish=lambda spec, placed: placed),
)
"""LoRA with a tensor that no optimizer trains and that every step changes."""


def shadowed(adapter):
    placed = {
        key: replace(here, method=SHADOWED, params={**here.params, "shadow_OR": torch.zeros_like(here.params["b_OR"])})
        for key, here in adapter.placed.items()
    }
    return Adapter(spec=adapter.spec, placed=placed)


METHOD = {
    "adalora": {"adapter": ADALORA},
    "dynamic_lora": {"adapter": DYNAMIC},
    "both": {"adapter": COMBINED},
    "with a kept tensor": {"change": shadowed},
}


def everything(run):
    yield from (tensor.detach() for _, tensor in run.adapter.tensors())
    for state in run.beside.states.values():
        yield from state.values()
    for param in run.params.values():
        yield from run.optimizer.state[param].values()


@pytest.fixture
def run_of(training):
    def begin(method, num_steps=10, **asked):
        run = training(**METHOD[method], num_steps=num_steps, learning_rate=0.02, **asked)
        run.adapter = run.bank[run.handle]
        return run

    return begin


@pytest.mark.parametrize("stop", [1, 3, 6, 8])
@pytest.mark.parametrize("method", METHOD)
def test_a_resumed_run_is_the_run_uninterrupted(tmp_path, run_of, method, stop):
    whole, first, second = (run_of(method, dtype="float32") for _ in range(3))
    reports = whole.run()
    first.run(stop)
    told = {"job": "j", "params": first.params, "optimizer": first.optimizer, "beside": first.beside}
    save_checkpoint(tmp_path, step=stop, **told)
    told = {"job": "j", "params": second.params, "optimizer": second.optimizer, "beside": second.beside}
    assert restore_newest(tmp_path, **told) == (stop, [])
    second.job = second.job_from(stop, 10)
    assert second.run() == reports[stop:]
    assert all(torch.equal(a, b) for a, b in zip(everything(whole), everything(second), strict=True))
    kept = [finished(run.bank[run.handle], run.job.evolving).digest() for run in (whole, second)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("forgotten", ["kept", "states"])
@pytest.mark.parametrize("method", ["adalora", "dynamic_lora", "with a kept tensor"])
def test_without_what_lies_beside_it_would_not(tmp_path, run_of, method, forgotten):
    stop = 8 if forgotten == "kept" else 2
    whole, first, second = (run_of(method) for _ in range(3))
    whole.run()
    first.run(stop)
    told = {"job": "j", "params": first.params, "optimizer": first.optimizer}
    save_checkpoint(tmp_path, step=stop, **told, beside=replace(first.beside, **{forgotten: {}}))
    told = {"job": "j", "params": second.params, "optimizer": second.optimizer}
    restore_newest(tmp_path, **told, beside=replace(second.beside, **{forgotten: {}}))
    second.job = second.job_from(stop, 10)
    second.run()
    assert (
        finished(whole.adapter, whole.job.evolving).digest() != finished(second.adapter, second.job.evolving).digest()
    )


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda b: replace(b, kept={**b.kept, "more": torch.ones(2)}), "param/more of the shape (2,)"),
        (lambda b: replace(b, states={"0": {"more": torch.ones(3)}}), "evolution/0/more of the shape (3,)"),
        (lambda b: replace(b, states={"1": {"x": torch.ones(())}}), "evolution/1/x of the shape ()"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_passed_over_and_changes_nothing(tmp_path, run_of, change, missing):
    first, second = run_of("adalora"), run_of("adalora")
    first.run(3)
    told = {"job": "j", "params": first.params, "optimizer": first.optimizer}
    save_checkpoint(tmp_path, step=3, **told, beside=first.beside)
    before = second.adapter.digest()
    told = {"job": "j", "params": second.params, "optimizer": second.optimizer, "beside": change(second.beside)}
    step, (skipped,) = restore_newest(tmp_path, **told)
    assert (step, skipped.reason) == (0, f"it holds no {missing}")
    assert second.adapter.digest() == before


@pytest.mark.parametrize(
    "cut", [{"batch_size": 3, "accumulation": 2}, {"batch_size": 1, "accumulation": 6}, {"packing": {"row_tokens": 40}}]
)
def test_however_a_step_is_cut_the_penalty_weighs_the_same(run_of, cut):
    whole = run_of("adalora", batch_size=6, accumulation=1)
    pieces = run_of("adalora", **{"batch_size": 6, "accumulation": 1, **cut})
    for one, other in zip(whole.run(), pieces.run(), strict=True):
        assert one.penalty > 0.1
        assert other.penalty == pytest.approx(one.penalty, rel=1e-9)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-9)
    for name, tensor in whole.params.items():
        torch.testing.assert_close(pieces.params[name], tensor, rtol=1e-6, atol=1e-9)


def test_the_penalty_is_the_mean_over_places_and_is_no_part_of_the_loss(run_of):
    run = run_of("adalora", num_steps=1)
    expected = [here.method.penalty(here.spec, here.params).item() for here in run.adapter.placed.values()]
    (report,) = run.run()
    assert report.penalty == pytest.approx(sum(expected) / len(expected), rel=1e-12)
    without = run_of("dynamic_lora", num_steps=1)  # fresh: the base's loss
    (other,) = without.run()
    assert other.penalty == 0
    assert report.loss_nats == pytest.approx(other.loss_nats, rel=1e-12)


def test_each_part_of_a_combined_adapter_has_its_own_mean(run_of):
    alone, both = run_of("adalora"), run_of("both")
    attention = [h for h in alone.adapter.placed.values() if h.place.role.startswith("attention")]
    narrow = Adapter(spec=alone.adapter.spec, placed={h.place.name: h for h in attention})
    assert penalty_of(both.adapter).item() == pytest.approx(penalty_of(narrow).item(), rel=1e-12)


def test_a_step_sees_the_gradients_it_was_made_from_and_where_it_is(run_of):
    run = run_of("with a kept tensor", num_steps=2)
    run.run()
    assert all(state.tolist() == [3, 2] for state in run.beside.states["0"].values())
    assert all(here.params["shadow_OR"].any() for here in run.adapter.placed.values())
    assert all(not tensor.requires_grad for tensor in run.beside.kept.values())


@pytest.mark.parametrize("method", ["adalora", "dynamic_lora", "both"])
def test_what_is_kept_computes_what_was_trained(run_of, logits, tokens_BT, method):
    run = run_of(method)
    run.run()
    kept = finished(run.adapter, run.job.evolving)
    handle = run.bank.add(kept, name="kept")
    found, expected = (logits(run.bank, tokens_BT(), [one] * 2) for one in (handle, run.handle))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert kept.num_params < run.adapter.num_params
    assert kept.spec == run.adapter.spec


def test_the_parts_of_a_combined_adapter_keep_to_their_own_budgets(run_of):
    run = run_of("both")
    run.run()
    kept = finished(run.adapter, run.job.evolving).placed.values()
    found = {name: sum(h.spec.rank for h in kept if h.method.name == name) for name in ("adalora", "dynamic_lora")}
    assert found == {"adalora": 2 * 12, "dynamic_lora": 3 * 21}


def test_a_cap_holds_the_factors_of_every_expert_and_leaves_tensors_without_a_rank(training):
    run = training(family="mixtral", adapter={"method": "lora", "targets": ["experts"]}, spectral_cap=0.05, num_steps=3)
    gain_O = torch.full((2, 3), 9.0)
    run.params["a/gain_EO"] = gain_O
    assert max(report.max_singular_value for report in run.run()) > 0.05
    held = [tensor.detach() for tensor in run.params.values() if tensor is not gain_O]
    assert {tensor.ndim for tensor in held} == {3}
    assert all((torch.linalg.matrix_norm(one, 2) <= 0.05 * (1 + 1e-12)).all() for one in held)
    assert torch.equal(gain_O, torch.full((2, 3), 9.0))


def test_an_adapter_of_plain_methods_has_nothing_to_evolve(training):
    run = training()
    assert evolving(run.adapter) == ()
    assert penalty_of(run.adapter) is None
    assert finished(run.adapter, ()).placed == run.adapter.placed


@pytest.mark.parametrize("method", ["adalora", "dynamic_lora"])
def test_a_cap_holds_the_factors_and_leaves_the_singular_values(run_of, method):
    run = run_of(method, spectral_cap=0.05)
    seen = run.run()
    assert max(report.max_singular_value for report in seen) > 0.05
    for name, tensor in run.params.items():
        if tensor.ndim == 2:
            assert torch.linalg.matrix_norm(tensor.detach(), 2) <= 0.05 * (1 + 1e-12), name
    if method == "adalora":
        assert any(t.norm() > 0.05 for name, t in run.params.items() if name.endswith("e_R"))


@pytest.mark.parametrize(
    ("steps", "paths"), [(1, ["final_frac", "allocate_frac"]), (2, ["final_frac"]), (3, []), (1000, [])]
)
def test_a_training_too_short_is_refused_with_the_path_in_its_part(steps, paths):
    found = schedule_problems(parse_adapter_spec(COMBINED), steps)
    assert [problem.path for problem in found] == [f"adapter.parts[{i}].{path}" for i, path in enumerate(paths)]


def test_a_request_for_one_method_is_refused_at_its_own_path():
    (problem,) = schedule_problems(parse_adapter_spec({**DYNAMIC, "allocate_frac": 0.99}), 20)
    assert str(problem) == (
        "adapter.allocate_frac = 0.99: expected less, in a training of 20 steps. "
        "No step would be left after rank is dealt out."
    )
    assert schedule_problems(parse_adapter_spec({"method": "lora"}), 1) == []


@pytest.mark.parametrize("method", ["adam with momentum and decay", "descent"])
def test_directions_of_dynamic_lora_that_were_not_kept_stay_at_nothing(training, method):
    optimizer = {"weight_decay": 0.1} if method.startswith("adam") else {"beta1": 0.0}
    run = training(adapter={"method": "dynamic_lora", "rank": 3, "cap": 6}, optimizer=optimizer, num_steps=12)
    for _ in range(12):
        (report,) = run.run(1)
        run.job = run.job_from(report.step, 12)
        for here in run.adapter.placed.values():
            gone = here.params["kept_R"] == 0
            assert gone.any() == (report.step >= 4) or here.params["kept_R"].all()
            assert not here.params["a_RI"][gone].any()
            assert not here.params["b_OR"][:, gone].any()
    kept = finished(run.adapter, run.job.evolving).placed
    assert sum(here.spec.rank for here in kept.values()) == 3 * 21
