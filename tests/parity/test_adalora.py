"""Twenty steps of AdaLoRA here are twenty steps of PEFT's: the same weights, the same directions left."""

import pytest
import torch
from peft import AdaLoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.head import halves
from graftwork.core.spec import parse
from graftwork.data.batches import evenly, step_indices
from graftwork.data.collate import collate
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.evolving import evolving, finished
from graftwork.training.job import TrainJob
from graftwork.training.loop import train
from graftwork.training.optimizers import optimizer_for
from graftwork.training.spec import TrainSpec

STEPS, ALPHA, INIT, TARGET = 20, 16.0, 6, 3
THEIRS = {"a_RI": "lora_A", "e_R": "lora_E", "b_OR": "lora_B"}
LINEAR = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
}
SCHEDULES = {
    "as usual": ({}, {"tinit": 2, "tfinal": 6}),
    "every third step": ({"warmup_frac": 0.2, "final_frac": 0.25, "every": 3}, {"tinit": 4, "tfinal": 5, "deltaT": 3}),
    "to the last step": (
        {"warmup_frac": 0.0, "final_frac": 0.0, "beta1": 0.5, "beta2": 0.9, "orth_weight": 0.1},
        {"tinit": 0, "tfinal": 0, "beta1": 0.5, "beta2": 0.9, "orth_reg_weight": 0.1},
    ),
}


@pytest.fixture(scope="module")
def records():
    draw = torch.Generator().manual_seed(2)
    made = []
    for i in range(13):
        length = 5 + i % 7
        tokens = tuple(torch.randint(0, 256, (length,), generator=draw).tolist())
        made.append(Encoded(tokens, tuple(at >= length - 1 - i % 3 for at in range(length)), Origin("r.jsonl", i)))
    return made


def begun(base, records, asked):
    spec = parse(
        TrainSpec, {"batch_size": 4, "learning_rate": 0.01, "seed": 3, "optimizer": {"weight_decay": 0.1, "eps": 1e-7}}
    )
    bank = AdapterBank(base)
    told = {"method": "adalora", "rank": TARGET, "init_rank": INIT, "alpha": ALPHA, **asked}
    handle = bank.fresh(parse_adapter_spec(told), seed=1)
    params = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
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
        num_steps=STEPS,
        evolving=evolving(bank[handle]),
    )


def mean_nats(logits, labels, **_):
    """The usual loss; that of `transformers` goes through float32."""
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def theirs_at_our_start(ours, family, told):
    """PEFT's model with our start, and its parameter for each of ours."""
    config = AdaLoraConfig(
        target_modules=LINEAR[family],
        init_r=INIT,
        target_r=TARGET,
        lora_alpha=ALPHA * (INIT + 1e-5) / INIT,  # they divide by init_r + 1e-5
        total_step=STEPS,
        task_type="CAUSAL_LM",
        **told,
    )
    bare = AutoModelForCausalLM.from_pretrained(ours.bank.base.folder, dtype=torch.float64)
    bare.loss_function = mean_nats
    model = get_peft_model(bare, config, autocast_adapter_dtype=False).eval().double()
    named = dict(model.named_parameters())
    pairs = {}
    for name, tensor in ours.params.items():
        place, _, param = name.rpartition("/")
        pairs[name] = named[f"base_model.model.{place}.{THEIRS[param]}.default"]
        with torch.no_grad():
            pairs[name].copy_(tensor.reshape(pairs[name].shape))
    trained = {id(p) for name, p in named.items() if p.requires_grad and "ranknum" not in name}  # that is a count
    assert {id(p) for p in pairs.values()} == trained
    return model, pairs


@pytest.mark.filterwarnings("ignore:Note that `r`")
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_twenty_steps_are_those_of_peft(load, records, family, schedule):
    asked, told = SCHEDULES[schedule]
    ours = begun(load(family), records, asked)
    theirs, pairs = theirs_at_our_start(ours, family, told)
    optimizer = torch.optim.AdamW(pairs.values(), lr=0.01, weight_decay=0.1, eps=1e-7)
    active = []
    for report in train(ours, lambda: 0.0):
        chosen = step_indices(report.step - 1, mixture=evenly(len(records)), per_step=4, seed=3)
        batch = collate([records[i] for i in chosen])
        loss = theirs(input_ids=batch.tokens_BT, labels=batch.tokens_BT.masked_fill(~batch.is_target_BT, -100)).loss
        assert report.loss_nats + report.penalty == pytest.approx(loss.item(), abs=1e-9)
        loss.backward()
        norm = clip_grad_norm_(pairs.values(), 1.0)
        assert report.grad_norm == pytest.approx(norm.item(), rel=1e-9)
        optimizer.step()
        theirs.base_model.update_and_allocate(report.step)
        optimizer.zero_grad()
        for name, tensor in ours.params.items():
            torch.testing.assert_close(
                tensor.detach(), pairs[name].detach().reshape(tensor.shape), rtol=1e-9, atol=1e-11
            )
        active.append(sum(int((t != 0).sum()) for name, t in ours.params.items() if name.endswith("e_R")))
    num_places = len(ours.params) // 3
    assert active[0] > TARGET * num_places == active[-1]
    pattern = theirs.peft_config["default"].rank_pattern
    kept = finished(ours.bank[ours.handle], ours.evolving).placed
    assert {n.removesuffix(".lora_E.default").removeprefix("model."): sum(p) for n, p in pattern.items() if any(p)} == {
        key.removeprefix("model."): here.spec.rank for key, here in kept.items()
    }
