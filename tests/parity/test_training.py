"""Ten steps here are ten steps of PEFT and torch, and however a step is cut its gradient is the same."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.peft_lora import tensor_name
from graftwork.base.head import halves
from graftwork.core.spec import parse
from graftwork.data.batches import evenly, step_indices
from graftwork.data.collate import collate
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.job import TrainJob
from graftwork.training.loop import train
from graftwork.training.optimizers import optimizer_for
from graftwork.training.schedule import rate_factor
from graftwork.training.spec import TrainSpec

RATES = {"constant": {"kind": "constant"}, "cosine": {"kind": "cosine", "warmup_frac": 0.3, "final_frac": 0.1}}
USUAL = {"batch_size": 4, "learning_rate": 0.01, "max_grad_norm": 0.5, "seed": 3}


@pytest.fixture(scope="module")
def records():
    draw = torch.Generator().manual_seed(2)
    made = []
    for i in range(13):
        length = 4 + i % 7
        tokens = tuple(torch.randint(0, 256, (length,), generator=draw).tolist())
        made.append(Encoded(tokens, tuple(at >= length - 1 - i % 3 for at in range(length)), Origin("r.jsonl", i)))
    return made


def job(load, lora, records, spec, *, num_steps=10, **adapter):
    base = load()
    bank = AdapterBank(base)
    handle = bank.fresh(lora(**adapter), seed=1)
    params = {name: tensor.requires_grad_() for name, tensor in bank[handle].tensors()}
    return TrainJob(
        bank=bank,
        handle=handle,
        split=halves(base.model),
        params=params,
        optimizer=optimizer_for(params, spec),
        records=records,
        lengths=[len(record.tokens_T) for record in records],
        mixture=evenly(len(records)),
        spec=spec,
        num_steps=num_steps,
    )


def theirs_at_our_start(ours):
    """PEFT's model with the tensors that our adapter starts from."""
    adapter = ours.bank[ours.handle]
    told = LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    bare = AutoModelForCausalLM.from_pretrained(ours.bank.base.folder, dtype=torch.float64)
    theirs = get_peft_model(bare, told).eval()
    named = dict(theirs.named_parameters())
    pairs = {
        f"{place}/{param}": named[tensor_name(place, param).removesuffix(".weight") + ".default.weight"]
        for place, here in adapter.placed.items()
        for param in here.params
    }
    with torch.no_grad():
        for name, tensor in adapter.tensors():
            pairs[name].copy_(tensor)
    assert {id(p) for p in pairs.values()} == {id(p) for p in theirs.parameters() if p.requires_grad}
    return theirs, pairs


def their_step(theirs, optimizer, batch, max_grad_norm, rate):
    """One step as anyone would write it."""
    logits_BTV = theirs(input_ids=batch.tokens_BT).logits
    labels_BT = batch.tokens_BT.masked_fill(~batch.is_target_BT, -100)
    loss = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=-100)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_([p for p in theirs.parameters() if p.requires_grad], max_grad_norm)
    optimizer.param_groups[0]["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return loss.item(), norm.item()


@pytest.mark.parametrize("schedule", RATES)
def test_ten_steps_are_those_of_peft_and_torch(load, lora, records, schedule):
    told = {"weight_decay": 0.1, "beta2": 0.95, "eps": 1e-7}
    spec = parse(TrainSpec, {**USUAL, "schedule": RATES[schedule], "optimizer": told})
    ours = job(load, lora, records, spec)
    theirs, pairs = theirs_at_our_start(ours)
    started = {name: p.detach().clone() for name, p in pairs.items()}
    optimizer = torch.optim.AdamW(pairs.values(), lr=0.01, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-7)
    norms = []
    for report in train(ours, lambda: 0.0):
        step = report.step - 1
        chosen = step_indices(step, mixture=evenly(len(records)), per_step=4, seed=3)
        batch = collate([records[i] for i in chosen])
        rate = 0.01 * rate_factor(spec.schedule, step, 10)
        loss, norm = their_step(theirs, optimizer, batch, 0.5, rate)
        assert report.loss_nats == pytest.approx(loss, abs=1e-10)
        assert report.grad_norm == pytest.approx(norm, rel=1e-9)
        assert report.learning_rate == rate
        norms.append(norm)
    assert report.step == 10
    assert max(norms) > 0.5  # so that clipping had something to do
    for name, tensor in ours.params.items():  # the loss is summed in another order; measured 1.5e-14
        torch.testing.assert_close(tensor.detach(), pairs[name].detach(), rtol=0, atol=1e-12)
        assert (tensor.detach() - started[name]).abs().max() > 1e-3


def test_the_step_is_the_mean_over_target_tokens_not_over_rows(load, lora, records):
    spec = parse(TrainSpec, {**USUAL, "batch_size": 2, "accumulation": 2})
    ours = job(load, lora, records, spec, num_steps=1)
    (report,) = train(ours, lambda: 0.0)
    chosen = step_indices(0, mixture=evenly(len(records)), per_step=4, seed=3)
    assert report.num_targets == sum(records[i].num_targets for i in chosen)
    assert report.num_tokens == sum(len(records[i].tokens_T) for i in chosen)
    batch = collate([records[i] for i in chosen])
    with torch.no_grad():  # a fresh adapter: the base
        log_p = ours.bank.base.model(input_ids=batch.tokens_BT).logits[:, :-1].log_softmax(-1)
    each = -log_p.gather(-1, batch.tokens_BT[:, 1:, None])[..., 0][batch.is_target_BT[:, 1:]]
    assert report.loss_nats == pytest.approx(each.mean().item(), abs=1e-12)


@pytest.mark.parametrize("cut", [(12, 1), (6, 2), (4, 3), (3, 4), (1, 12)], ids=str)
def test_however_a_step_is_cut_its_gradient_is_the_same(load, lora, records, cut):
    def gradients(batch_size, accumulation):
        asked = {**USUAL, "batch_size": batch_size, "accumulation": accumulation, "max_grad_norm": None}
        ours = job(load, lora, records, parse(TrainSpec, asked), num_steps=2)
        held = []
        ours.optimizer.register_step_pre_hook(lambda *_: held.extend(p.grad.clone() for p in ours.params.values()))
        reports = list(train(ours, lambda: 0.0))
        return held, [report.loss_nats for report in reports]

    whole, losses = gradients(12, 1)
    pieces, piece_losses = gradients(*cut)
    assert piece_losses == pytest.approx(losses, abs=1e-12)
    assert len(pieces) == 2 * 42
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)  # added in another order; measured 3e-16


def test_training_lowers_the_loss(load, lora, records):
    spec = parse(TrainSpec, {**USUAL, "batch_size": 13, "max_grad_norm": None})
    losses = [report.loss_nats for report in train(job(load, lora, records, spec, num_steps=8), lambda: 0.0)]
    assert losses[-1] < 0.8 * losses[0]
