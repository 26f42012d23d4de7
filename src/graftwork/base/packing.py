"""Whether a base keeps records apart that lie end to end in one row. It is tried, not believed."""

import torch

from graftwork.base.head import Halves
from graftwork.core.errors import Problem, SpecError

NUM_TOKENS = 6
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Difference, as a share of the largest state, that another shape of the same sums may bring."""


def refuse_mixed_packs(halves: Halves, device: torch.device) -> None:
    """Pack two records and see that neither the other's tokens nor its length reach the second.

    Raises:
        SpecError: they do, as in bases that are no pure attention, or whose attention knows nothing of packed rows.
    """
    first, other, second = torch.arange(3 * NUM_TOKENS, device=device).remainder(halves.vocab_size).split(NUM_TOKENS)
    positions = torch.arange(NUM_TOKENS, device=device).repeat(2)[None]
    with torch.no_grad():
        packed = halves.hidden_BTH(torch.cat([first, second])[None], positions)[0, NUM_TOKENS:]
        beside = halves.hidden_BTH(torch.cat([other, second])[None], positions)[0, NUM_TOKENS:]
        alone = halves.hidden_BTH(second[None])[0]
    largest = float(alone.abs().max())
    far = float((packed - alone).abs().max()) / largest
    if not torch.equal(packed, beside) or far > TOLERANCE[alone.dtype]:
        expected = "off for this base"
        hint = f"Its packed records are not kept apart: their states differ by {far:.1e} of the largest."
        raise SpecError([Problem("training.packing", "on", expected, hint)])
