"""Checkpoints: signed statements that the ledger has come so far, kept with it and, better, elsewhere too.

Whoever can write the whole database can write a whole new ledger; what they cannot write is a signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graftwork.core.errors import ConflictError, IntegrityError
from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import Row, to_us
from graftwork.registry.ledger import entry_of
from graftwork.registry.signing.envelope import key_ids, of_ledger, predicate_of, signed, signers
from graftwork.registry.signing.keys import PrivateKey, PublicKey
from graftwork.registry.state import Registry, last_row


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What a checkpoint says: at a moment, entry `sequence` was the last, and had this digest."""

    sequence: int
    digest: str
    time_us: int


def sign_checkpoint(registry: Registry, who: Principal, key: PrivateKey) -> str:
    """Sign the ledger as it is, and keep that; the envelope, to be kept elsewhere too.

    Raises:
        ConflictError: this key has signed it so far already, or there is nothing to sign.
        IntegrityError: its last entry is not as it was written.
    """
    who.refuse_unless("administer")
    with registry.database.writing() as rows:
        last = last_row(rows)
        if last is None:
            raise ConflictError("The ledger has no entries yet; there is nothing to sign.")
        entry, now_us = entry_of(last), to_us(registry.clock())
        text = signed(of_ledger(entry.sequence, entry.digest, now_us), key)
        row: Row = {"sequence": entry.sequence, "key_id": key.public.key_id, "digest": entry.digest, "time_us": now_us}
        rows.insert("checkpoint", {**row, "envelope": text})
    return text


def read_checkpoint(text: str) -> Checkpoint:
    """What an envelope says, its signatures unchecked. Raises IntegrityError when it is no checkpoint."""
    said = predicate_of(text)
    sequence, entry, time_us = said.get("sequence"), said.get("entry"), said.get("time_us")
    if not (type(sequence) is int and sequence > 0 and type(time_us) is int and isinstance(entry, str)):
        raise IntegrityError("it is not a checkpoint as it was written")
    return Checkpoint(sequence=sequence, digest=entry, time_us=time_us)


def says_so(row: Row) -> bool:
    """Whether a row says what its envelope does."""
    try:
        said = read_checkpoint(str(row["envelope"]))
        ids = key_ids(str(row["envelope"]))
    except IntegrityError:
        return False
    told = (row["sequence"], row["digest"], row["time_us"], (row["key_id"],))
    return told == (said.sequence, said.digest, said.time_us, ids)


def signers_of(text: str, trusted: Mapping[str, PublicKey]) -> frozenset[str]:
    """Ids of the trusted keys that signed it. Raises IntegrityError when a signature of one is wrong."""
    said = read_checkpoint(text)
    return signers(text, of_ledger(said.sequence, said.digest, said.time_us), trusted)
