"""Tiny bases, made once a session, and adapters that do something."""

import pytest
import torch
from tests.support.tiny_base import make_base

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.base.load import load_base
from graftwork.core.spec import parse

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """`folder_of(family)`: the folder of a tiny base. Not to be written to."""
    root, made = tmp_path_factory.mktemp("tiny"), {}

    def folder(family="llama", **options):
        key = "-".join([family, *map(str, options.values())])
        if key not in made:
            made[key] = make_base(root / f"{len(made)}-{family}", family, **options)
        return made[key]

    return folder


@pytest.fixture(scope="session")
def llama_folder(folder_of):
    """The folder of a tiny Llama. Not to be written to."""
    return folder_of("llama")


@pytest.fixture(scope="session")
def load(folder_of):
    """`load(family, dtype)`: a base of one's own, so that no test sees another's hooks."""
    return lambda family="llama", dtype="float64": load_base(str(folder_of(family)), dtype=dtype)


@pytest.fixture(scope="session")
def lora():
    """`lora(rank=4, ...)`: a request for LoRA, read as from a recipe."""
    return lambda **asked: parse(LoraSpec, {"method": "lora", "rank": 4, **asked})


@pytest.fixture(scope="session")
def lively(lora):
    """`lively(bank, seed, rank=4, ...)`: put in an adapter whose every tensor is random, so that it does something."""

    def put(bank, seed=0, **asked):
        handle = bank.fresh(lora(**asked), seed=seed, name=f"lively-{seed}")
        generator = torch.Generator().manual_seed(seed)
        for name, tensor in bank[handle].tensors():
            if name.endswith("b_OR"):
                tensor.normal_(std=0.3, generator=generator)
        return handle

    return put


@pytest.fixture
def bank(load):
    """An empty bank on a tiny Llama in float64."""
    return AdapterBank(load())


@pytest.fixture(scope="session")
def tokens_BT():
    """`tokens_BT(rows, length)`: random tokens of the tiny bases."""

    def draw(rows=2, length=9, seed=7):
        return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(seed))

    return draw


@pytest.fixture(scope="session")
def logits():
    """`logits(bank, tokens_BT, rows)`: logits_BTV of a batch whose rows go to `rows`, without gradients."""

    def run(bank, tokens, rows):
        with torch.no_grad(), bank.route(rows):
            return bank.base.model(input_ids=tokens).logits

    return run


@pytest.fixture(scope="session")
def base_logits():
    """`base_logits(base, tokens_BT)`: logits_BTV of the base outside any route."""

    def run(base, tokens):
        with torch.no_grad():
            return base.model(input_ids=tokens).logits

    return run
