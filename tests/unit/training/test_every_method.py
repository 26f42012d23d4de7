"""By the real loop, in the types that recipes have: every method learns, and what is trained is what is kept."""

import pytest
import torch
from tests.support.methods import request

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.method import METHODS
from graftwork.core.spec import plain
from graftwork.training.checkpoints import restore_newest, save_checkpoint


def a_copy(bank, handle):
    """The same adapter with tensors of its own, from which nothing has been computed yet."""
    placed = {}
    for key, here in bank[handle].placed.items():
        params = {
            name: tensor.detach().clone().requires_grad_(tensor.requires_grad) for name, tensor in here.params.items()
        }
        placed[key] = type(here)(place=here.place, method=here.method, spec=here.spec, params=params, part=here.part)
    return bank.add(Adapter(spec=bank[handle].spec, placed=placed), name="copy")


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", METHODS)
def test_it_learns_and_answers_with_the_tensors_it_has(training, records, logits, tokens_BT, name, dtype):
    asked = dict(plain(request(name)))
    run = training(dtype=dtype, adapter=asked, records=records(6), num_steps=12, learning_rate=0.005)
    losses = [report.loss_nats for report in run.run()]  # each step sees all records
    assert min(losses[1:]) < losses[0]
    in_memory = logits(run.bank, tokens_BT(), [run.handle] * 2)
    assert torch.equal(in_memory, logits(run.bank, tokens_BT(), [a_copy(run.bank, run.handle)] * 2))


def test_the_optimizer_of_a_user_is_noticed_too(training, logits, tokens_BT):
    run = training(dtype="bfloat16", adapter=dict(plain(request("dora"))), num_steps=1)
    for made in (torch.optim.AdamW(run.params.values(), lr=0.1, fused=True), torch.optim.SGD(run.params.values(), 0.1)):
        before = logits(run.bank, tokens_BT(), [run.handle] * 2)
        for tensor in run.params.values():
            tensor.grad = torch.ones_like(tensor)
        made.step()
        made.zero_grad()
        after = logits(run.bank, tokens_BT(), [run.handle] * 2)
        assert not torch.equal(before, after)
        assert torch.equal(after, logits(run.bank, tokens_BT(), [a_copy(run.bank, run.handle)] * 2))


@pytest.mark.parametrize("name", METHODS)
def test_every_trained_tensor_lies_in_one_piece(training, name):
    run = training(family="gpt2", adapter=dict(plain(request(name))), num_steps=1)
    assert all(tensor.is_contiguous() for tensor in run.params.values())
    run.run()
    state = run.job.optimizer.state
    assert all(value.is_contiguous() for one in state.values() for value in one.values() if value.ndim)


@pytest.mark.parametrize("name", ["structured_lora", "bottleneck"])
def test_a_cap_holds_matrices_in_stacks_too(training, name):
    run = training(adapter=dict(plain(request(name))), spectral_cap=0.02, num_steps=2)
    assert max(report.max_singular_value for report in run.run()) > 0.02
    matrices = [tensor.detach() for tensor in run.params.values() if tensor.ndim >= 2]
    assert matrices
    assert all((torch.linalg.matrix_norm(tensor, 2) <= 0.02 * (1 + 1e-9)).all() for tensor in matrices)


@pytest.mark.parametrize("name", ["pissa", "dora", "prompt_tuning"])
def test_a_resumed_run_ends_with_the_same_bytes(training, name, tmp_path):
    asked = dict(plain(request(name)))
    whole = training(adapter=asked, dtype="bfloat16", num_steps=6)
    whole.run()
    first = training(adapter=asked, dtype="bfloat16", num_steps=6)
    first.run(3)
    save_checkpoint(tmp_path, step=3, job="j", params=first.params, optimizer=first.optimizer, beside=first.beside)
    second = training(adapter=asked, dtype="bfloat16", num_steps=6)
    step, skipped = restore_newest(
        tmp_path, job="j", params=second.params, optimizer=second.optimizer, beside=second.beside
    )
    assert (step, skipped) == (3, [])
    second.job = second.job_from(3, 6)
    second.run()
    assert second.adapter.digest() == whole.adapter.digest()
