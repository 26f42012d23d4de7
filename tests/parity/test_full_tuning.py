"""Full tuning is what anyone would write with torch's AdamW; the model's own head and embeddings are trained too."""

import pytest
import torch
from tests.parity.test_training import USUAL, their_step
from tests.unit.training.conftest import some_records
from transformers import AutoModelForCausalLM

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank
from graftwork.base import trained_head
from graftwork.core.spec import parse
from graftwork.data.batches import evenly, step_indices
from graftwork.data.collate import collate
from graftwork.training.full import full_of
from graftwork.training.full_spec import FullSpec
from graftwork.training.job import TrainJob
from graftwork.training.loop import train
from graftwork.training.optimizers import optimizer_for
from graftwork.training.spec import TrainSpec

FAMILIES = ("llama", "qwen2", "gpt2", "neox")  # gpt2 alone ties its embeddings; gemma3 rounds inside


def job(base, records, spec, *, num_steps=10, embeddings=True, layout="rows"):
    bank = AdapterBank(base)
    full = full_of(base, FullSpec(embeddings=embeddings))
    optimizer = optimizer_for(full.params, spec)
    full.ready(optimizer)
    return TrainJob(
        bank=bank,
        handle=bank.add(Adapter(spec=None, placed={}), name="none"),
        split=base.halves,
        params=full.params,
        optimizer=optimizer,
        records=records,
        lengths=[len(record.tokens_T) for record in records],
        mixture=evenly(len(records)),
        spec=spec,
        num_steps=num_steps,
        loss=full.loss,
        layout=layout,
    )


@pytest.fixture
def records():
    return some_records(13)


@pytest.fixture(params=[1 << 22, 600], ids=["one chunk", "many chunks"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(trained_head, "CHUNK_ELEMENTS", request.param)


@pytest.mark.parametrize("layout", ["rows", "groups"])
@pytest.mark.parametrize("family", FAMILIES)
def test_ten_steps_are_those_of_plain_torch(load, records, family, chunks, layout):
    told = {"weight_decay": 0.1, "beta2": 0.95, "eps": 1e-7}
    spec = parse(TrainSpec, {**USUAL, "learning_rate": 1e-3, "optimizer": told})
    ours = job(load(family), records, spec, layout=layout)
    theirs = AutoModelForCausalLM.from_pretrained(ours.bank.base.folder, dtype=torch.float64).eval()
    named = dict(theirs.named_parameters())
    started = {name: p.detach().clone() for name, p in named.items()}
    optimizer = torch.optim.AdamW(named.values(), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-7)
    for report in train(ours, lambda: 0.0):
        chosen = step_indices(report.step - 1, mixture=evenly(len(records)), per_step=4, seed=3)
        batch = collate([records[i] for i in chosen])
        loss, norm = their_step(theirs, optimizer, batch, 0.5, 1e-3)
        assert report.loss_nats == pytest.approx(loss, abs=1e-10)
        assert report.grad_norm == pytest.approx(norm, rel=1e-9)
        assert norm > 0.5  # so that clipping had something to do
    assert report.step == 10
    assert ours.params.keys() == named.keys()
    for name, tensor in ours.params.items():
        torch.testing.assert_close(tensor.detach(), named[name].detach(), rtol=0, atol=1e-12)
        assert (tensor.detach() - started[name]).abs().max() > 1e-4, name


@pytest.mark.parametrize(
    ("family", "expected"),
    [("llama", {"model.embed_tokens.weight", "lm_head.weight"}), ("gpt2", {"transformer.wte.weight"})],
)
def test_without_embeddings_they_and_the_head_stay(load, records, family, expected):
    base = load(family)
    before = {name: p.detach().clone() for name, p in base.model.named_parameters()}
    for _ in train(job(base, records, parse(TrainSpec, USUAL), num_steps=2, embeddings=False), lambda: 0.0):
        pass
    assert {name for name, p in base.model.named_parameters() if torch.equal(p, before[name])} == expected


def test_bfloat16_is_trained_through_float32_and_computes_with_it_rounded(load, records):
    base = load("llama", "bfloat16")
    before = {name: p.detach().float() for name, p in base.model.named_parameters()}
    ours = job(base, records, parse(TrainSpec, {**USUAL, "learning_rate": 1e-6}), num_steps=3)
    for _ in train(ours, lambda: 0.0):
        pass
    computed = dict(base.model.named_parameters())
    assert {p.dtype for p in ours.params.values()} == {torch.float32}
    assert {p.dtype for p in computed.values()} == {torch.bfloat16}
    for name, master in ours.params.items():
        assert torch.equal(computed[name], master.to(torch.bfloat16)), name
        assert not torch.equal(master, before[name]), f"{name}: steps too small for bfloat16 must add up"
        assert computed[name].grad is None
