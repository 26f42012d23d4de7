"""Records and jobs for tiny trainings."""

from itertools import count

import pytest
import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.head import halves
from graftwork.core.spec import parse
from graftwork.data.batches import evenly
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.averaging import averages_of
from graftwork.training.evolving import beside_of, evolving
from graftwork.training.job import TrainJob, layout_of
from graftwork.training.loop import train
from graftwork.training.optimizers import optimizer_for
from graftwork.training.scaling import loss_scale_for
from graftwork.training.spec import TrainSpec


def some_records(num=14):
    """Records of different lengths and numbers of targets."""
    draw = torch.Generator().manual_seed(9)
    made = []
    for i in range(num):
        length = 4 + int(torch.randint(0, 9, (1,), generator=draw))
        tokens = torch.randint(0, 256, (length,), generator=draw).tolist()
        num_targets = 1 + i % 3
        is_target = (False,) * (length - num_targets) + (True,) * num_targets
        made.append(Encoded(tuple(tokens), is_target, Origin("records.jsonl", i + 1)))
    return made


def told_of(records):
    """What a job is told of its records."""
    return {
        "records": records,
        "lengths": [len(record.tokens_T) for record in records],
        "mixture": evenly(len(records)),
    }


class Training:
    """A job on a fresh adapter, changed by `change`, and a base of its own."""

    def __init__(self, base, adapter, *, records=None, num_steps=10, first_step=0, change=None, **asked):
        spec = parse(TrainSpec, {"batch_size": 3, "accumulation": 2, "learning_rate": 0.01, **asked})
        self.bank = AdapterBank(base)
        self.handle = self.bank.fresh(adapter, seed=spec.seed)
        if change:
            self.handle = self.bank.add(change(self.bank[self.handle]), name="changed")
        self.adapter = self.bank[self.handle]
        self.params = {name: tensor.requires_grad_() for name, tensor in self.adapter.trained()}
        self.optimizer = optimizer_for(self.params, spec)
        self.told = {
            "bank": self.bank,
            "handle": self.handle,
            "split": halves(base.model),
            "params": self.params,
            "optimizer": self.optimizer,
            **told_of(some_records() if records is None else records),
            "spec": spec,
            "evolving": evolving(self.adapter),
            "layout": layout_of(self.bank, spec),
            "averages": averages_of(self.params, spec.ema_decay),
            "scale": loss_scale_for(base.model.dtype),
        }
        self.job = self.job_from(first_step, num_steps)

    @property
    def beside(self):
        """What goes into a checkpoint beside what the optimizer trains."""
        remembered = {name: self.told[name].state for name in ("averages", "scale") if self.told[name]}
        return beside_of(self.adapter, self.told["evolving"], remembered)

    def job_from(self, first_step, num_steps):
        return TrainJob(**self.told, first_step=first_step, num_steps=num_steps)

    def run(self, steps=None):
        """The reports of the next `steps` steps, of all of them when absent."""
        clock = count()
        reports = []
        for report in train(self.job, lambda: float(next(clock))):
            reports.append(report)
            if len(reports) == steps:
                break
        return reports


@pytest.fixture
def training(load, lora):
    """`training(adapter={...}, family=..., **train_spec)`: a job ready to run."""

    def begin(*, adapter=None, family="llama", dtype="float64", **asked):
        told = adapter or {}
        return Training(load(family, dtype), parse_adapter_spec(told) if "method" in told else lora(**told), **asked)

    return begin


@pytest.fixture
def records():
    """`records(num)`: made-up records, always the same."""
    return some_records
