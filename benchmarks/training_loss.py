"""What the adapters of `training.py` learned: each one's loss on the same records, on one float32 base."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from training_task import BASE

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.base.head import nats
from graftwork.base.load import load_base
from graftwork.data.collate import collate
from graftwork.data.encode import Encoded


def losses_of(folders: Mapping[str, Path], records: Sequence[Encoded]) -> dict[str, float]:
    """Nats a target with each adapter, ours or a peer's in PEFT's format, by name; and of the base without one."""
    bank = AdapterBank(load_base(BASE, dtype="float32"))
    return {name: _loss(bank, bank.load(folder, name=name), records) for name, folder in folders.items()}


def _loss(bank: AdapterBank, handle: Handle, records: Sequence[Encoded]) -> float:
    total = torch.zeros(())
    with torch.no_grad():
        for at in range(0, len(records), 16):
            batch = collate(records[at : at + 16])
            with bank.route([handle] * len(batch.tokens_BT)):
                total += nats(bank.base.halves, batch.tokens_BT, batch.is_target_BT)
    return float(total) / sum(record.num_targets for record in records)
