"""A base without weights says all that one with them says, and computes nothing."""

import pytest
import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.base.load import load_base
from graftwork.base.outline import outline
from graftwork.core.errors import WorkError


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_it_says_what_the_loaded_base_says(folder_of, family):
    ref = str(folder_of(family))
    described, loaded = outline(ref, dtype="float32"), load_base(ref, dtype="float32")
    assert described.facts == loaded.facts
    assert described.fingerprint == loaded.fingerprint
    assert described.halves.vocab_size == loaded.halves.vocab_size
    assert described.chat.stop_ids == loaded.chat.stop_ids
    assert described.model.dtype == loaded.model.dtype


def test_it_has_no_weights(folder_of):
    described = outline(str(folder_of()))
    assert all(tensor.is_meta for tensor in described.model.parameters())
    with pytest.raises(WorkError, match="no weights here"):
        described.halves.logits_of(torch.zeros(1, 32))


def test_an_adapter_is_read_for_it_as_for_the_loaded_base(folder_of, load, lively, tmp_path):

    bank = AdapterBank(load(dtype="float32"))
    write_adapter(tmp_path / "a", bank[lively(bank)], bank.base, {})
    here = read_adapter(tmp_path / "a", outline(str(folder_of()))).adapter
    assert here.digest() == read_adapter(tmp_path / "a", bank.base).adapter.digest()
    assert not any(tensor.is_meta for _, tensor in here.tensors())
