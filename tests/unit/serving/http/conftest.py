"""A bank for servers."""

import pytest

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base


@pytest.fixture(scope="session")
def tiny_bank(llama_folder):
    """A bank on a tiny Llama in float32, without adapters."""
    return AdapterBank(load_base(str(llama_folder), dtype="float32"))
