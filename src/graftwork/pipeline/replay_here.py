"""A receipt replayed on this machine: base and engine as the receipt says, version and files from a registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import DTYPES, DtypeName, load_base
from graftwork.core.errors import NotFoundError, Problem, SpecError
from graftwork.core.spec import parse
from graftwork.pipeline import service
from graftwork.pipeline.replaying import Replayed, base_note, engine_note, replay, served_of
from graftwork.registry import versions
from graftwork.registry.access.roles import Principal
from graftwork.registry.signing.keys import PublicKey
from graftwork.registry.state import Registry
from graftwork.serving.engine.cache import bytes_per_page, layers_of
from graftwork.serving.engine.engine import BatchEngine, EngineLimits
from graftwork.serving.engine.pages import num_pages_for
from graftwork.serving.guard.door import GuardDoor
from graftwork.serving.guard.guard import read_guard
from graftwork.serving.http.parts import Parts
from graftwork.serving.http.seams import NoGuard, ServedModels
from graftwork.serving.operations.receipts import Receipt, read_receipt
from graftwork.serving.spec import ServeSpec

MOST_IN_FRONT = 4096
"""Places that an adapter may put in front of a prompt here."""


def replayed_here(
    registry: Registry,
    who: Principal,
    envelope: str,
    body: bytes,
    *,
    trusted: Mapping[str, PublicKey],
    base: str | None = None,
    guard: Path | None = None,
) -> Replayed:
    """Answer a request again on our own engine, with the threads and number format that its receipt names.

    Args:
        base: another name of the base; that of the version by default.
        guard: the policy of the guard, where the receipt names one.

    Raises:
        IntegrityError: the receipt is not as a trusted key signed it.
        SpecError: the body is another one, or the base of a receipt without version is not named.
        NotFoundError: the base is not there.
    """
    receipt = read_receipt(envelope, trusted).receipt
    if receipt.tenant != who.tenant:
        raise NotFoundError(f"no receipt {receipt.request}.")
    ref = base or _base_of(registry, who, receipt)
    limits = {"most_new_tokens": max(4096, receipt.sampling.max_new_tokens), "choices": 256}
    spec = parse(ServeSpec, {"base": ref, "limits": limits})
    if receipt.engine.dtype not in DTYPES:
        raise SpecError([Problem("engine.dtype", receipt.engine.dtype, f"one of {', '.join(DTYPES)}")])
    if receipt.engine.threads is not None:
        torch.set_num_threads(receipt.engine.threads)
    bank = AdapterBank(load_base(ref, dtype=cast(DtypeName, receipt.engine.dtype)))
    engine = BatchEngine(bank, EngineLimits(cache_bytes=_room(bank, receipt), threads=receipt.engine.threads))
    policy = read_guard(guard) if guard else None
    try:
        parts = Parts(
            spec=spec,
            speech=service.speech_of(bank),
            engine=engine,
            models=cast(ServedModels, None),
            registry=registry,
            guard=GuardDoor(policy) if policy else NoGuard(),
        )
        return replay(
            parts,
            who,
            receipt,
            body,
            here=(base_note(bank), engine_note(bank, engine)),
            policy=policy.for_model(receipt.model).digest if policy else None,
            served=lambda: served_of(bank, registry, who, receipt.model, receipt.version),
        )
    finally:
        engine.close()


def _room(bank: AdapterBank, receipt: Receipt) -> int:
    """Bytes for keys and values of this one answer, and of whatever its adapter puts in front."""
    num_tokens = MOST_IN_FRONT + receipt.prompt.count + receipt.sampling.max_new_tokens
    return num_pages_for(num_tokens) * bytes_per_page(layers_of(bank), bank.host.model.dtype)


def _base_of(registry: Registry, who: Principal, receipt: Receipt) -> str:
    if receipt.version is None:
        raise SpecError([Problem("--base", None, "the base", "The receipt is of the base alone.")])
    return versions.get(registry, who, receipt.version).manifest.base.ref
