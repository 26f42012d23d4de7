"""A training with packed rows is the training with a row for each record."""

import pytest
import torch


@pytest.mark.parametrize("packing", [{"row_tokens": 24}, {"row_tokens": 1000}])
def test_training_packed_ends_where_training_in_rows_ends(packing, training):
    apart, packed = training(), training(packing=packing)
    told = list(zip(apart.run(), packed.run(), strict=True))
    assert len(told) == 10
    for one, other in told:
        assert other.loss_nats == pytest.approx(one.loss_nats, rel=1e-9)
        assert (other.num_targets, other.num_tokens) == (one.num_targets, one.num_tokens)
    for name, tensor in apart.params.items():
        torch.testing.assert_close(packed.params[name], tensor, rtol=1e-6, atol=1e-9)
