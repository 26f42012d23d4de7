"""Receipts to try things on: answers of a few tokens, and a key."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.registries import hexed

from graftwork.registry.signing.keys import PrivateKey
from graftwork.serving.asked import Ask, Sampling, Served
from graftwork.serving.operations.receipts import Answered, BaseNote, EngineNote, Notary

BASE = BaseNote(**{part: hexed(part) for part in ("weights", "config", "tokenizer", "template")})
ENGINE = EngineNote(name="solo", code="0.1.0", torch="2.13.0", threads=1, dtype="float64", device="cpu")
DAY_US = 86_400_000_000
START_US = 1_772_366_400_000_000
"""2026-03-01 at noon."""


def a_key(byte=7):
    """A private key, always the same."""
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32))


def notary(key=None):
    """Whoever signs."""
    return Notary(BASE, ENGINE, key or a_key())


def trusted(*keys):
    """Public halves by id."""
    return {key.public.key_id: key.public for key in keys or (a_key(),)}


def answered(number, *, tenant="bank", text="Yes.", time_us=START_US, **asked):
    """An answer that is over."""
    served = Served(name="loan-bot", version=hexed("version"), content=hexed("content"), row=None)
    ask = Ask(
        id=f"req_{number}-0",
        tenant=tenant,
        served=served,
        prompt_T=(1, 2, 3),
        sampling=Sampling(max_new_tokens=40, seed=5, logit_bias={7: -1.5}),
        stop_ids=frozenset({9}),
    )
    told = {"tokens_T": range(number), "text": text, "finish": "stop", "body": hexed(f"body {number}"), **asked}
    return Answered(ask=ask, time_us=time_us, **told)
