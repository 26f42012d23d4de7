"""One server for all tests here, and the official clients."""

import pytest
from tests.support.served import served

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base


@pytest.fixture(scope="module")
def bank(llama_folder, lively):
    """A bank on a tiny Llama with one lively adapter."""
    made = AdapterBank(load_base(str(llama_folder), dtype="float32"))
    made.bot = lively(made)
    return made


@pytest.fixture(scope="module")
def server(bank):
    """A server with the base, tiny, and an adapter, bot."""
    with served(bank, {"bot": bank.bot}) as here:
        yield here


@pytest.fixture(scope="module")
def client(server):
    """The official client."""
    with server.client() as made:
        yield made
