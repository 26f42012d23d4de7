"""A base that mixes packed records is found out by trying it."""

import pytest
import torch

from graftwork.base.packing import NUM_TOKENS, refuse_mixed_packs
from graftwork.core.errors import SpecError

CPU = torch.device("cpu")


class Body:
    """Stands for the halves of a model; each record's states are running sums of its tokens, plus what `mixes` adds."""

    vocab_size = 100

    def __init__(self, mixes=None, dtype=torch.float64):
        self.mixes, self.dtype = mixes, dtype

    def hidden_BTH(self, tokens_BT, positions_BT=None):
        assert tokens_BT.max() < self.vocab_size
        if positions_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1])[None]
        hidden_BTH = torch.zeros(*tokens_BT.shape, 2, dtype=torch.float64)
        begin = 0
        for i, (token, position) in enumerate(zip(tokens_BT[0], positions_BT[0], strict=True)):
            begin = i if position == 0 else begin
            hidden_BTH[0, i, 0] = tokens_BT[0, begin : i + 1].sum()
            hidden_BTH[0, i, 1] = token * (position + 1)
        if self.mixes:
            hidden_BTH = hidden_BTH + self.mixes(tokens_BT)
        return hidden_BTH.to(self.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_base_that_keeps_records_apart_is_taken(dtype):
    refuse_mixed_packs(Body(dtype=dtype), CPU)


def test_a_small_vocabulary_is_no_reason_to_refuse():
    body = Body()
    body.vocab_size = 8
    refuse_mixed_packs(body, CPU)


def test_a_base_that_sees_the_other_records_tokens_is_refused_however_little_it_sees():
    with pytest.raises(SpecError, match="not kept apart"):
        refuse_mixed_packs(Body(lambda tokens_BT: 1e-9 * tokens_BT.sum()), CPU)


def test_a_base_that_sees_how_long_the_other_record_is_is_refused_in_words():
    with pytest.raises(SpecError) as raised:
        refuse_mixed_packs(Body(lambda tokens_BT: 10.0 if tokens_BT.shape[1] > NUM_TOKENS else 0.0), CPU)
    assert str(raised.value) == (
        "training.packing = 'on': expected off for this base. "
        "Its packed records are not kept apart: their states differ by 9.8e-02 of the largest."
    )


def test_a_difference_as_another_shape_of_the_same_sums_brings_is_taken():
    refuse_mixed_packs(Body(lambda tokens_BT: 1e-9 * tokens_BT.shape[1]), CPU)
