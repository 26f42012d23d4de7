"""Envelopes: what was signed and by whom, as DSSE around an in-toto statement. Pure.

    signed bytes = "DSSEv1" SP len(type) SP type SP len(payload) SP payload

Source: DSSE 1.0, https://github.com/secure-systems-lab/dsse/blob/master/protocol.md; in-toto Statement v1,
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graftwork.core.digests import canonical_json
from graftwork.core.errors import IntegrityError
from graftwork.core.files import each_key_once
from graftwork.registry.manifest import Manifest, manifest_digest
from graftwork.registry.signing.keys import PrivateKey, PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
OF_VERSION = "urn:graftwork:version:1"
OF_LEDGER = "urn:graftwork:ledger:1"
OF_RECEIPT = "urn:graftwork:receipt:1"
M = TypeVar("M", bound=BaseModel)


class _Part(BaseModel):
    """A part of what others may have written: strict in what it needs, silent about what the forms allow besides."""

    model_config = ConfigDict(strict=True, frozen=True, populate_by_name=True)


class Signature(_Part):
    """One signature of an envelope."""

    keyid: str = ""
    sig: str


class Envelope(_Part):
    """A payload and who signed it."""

    payload_type: str = Field(alias="payloadType")
    payload: str
    signatures: tuple[Signature, ...] = Field(min_length=1, max_length=32)


class Subject(_Part):
    """What a statement is about."""

    name: str
    digest: Mapping[str, str]


class Statement(_Part):
    """What is said of subjects."""

    form: str = Field(alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1)
    predicate_type: str = Field(alias="predicateType")
    predicate: Mapping[str, Any] = Field(default_factory=dict)


def of_version(manifest: Manifest) -> dict[str, object]:
    """What is said of a version: its manifest's digest and those of its files; the manifest itself lies beside it."""
    files = [{"name": one.path, "digest": {"sha256": one.digest}} for one in manifest.files]
    version = manifest_digest(manifest)
    subject = {"name": "version", "digest": {"sha256": version}}
    return _statement([subject, *files], OF_VERSION, {"version": version, "base": manifest.base.weights})


def of_ledger(sequence: int, entry: str, time_us: int) -> dict[str, object]:
    """What is said of a ledger: that its entry `sequence` has this digest, and so all before it stand."""
    subject = {"name": "ledger", "digest": {"sha256": entry}}
    return _statement([subject], OF_LEDGER, {"entry": entry, "sequence": sequence, "time_us": time_us})


def of_receipt(digest: str, receipt: Mapping[str, object]) -> dict[str, object]:
    """What is said of an answer of a server: its receipt, whole."""
    return _statement([{"name": "receipt", "digest": {"sha256": digest}}], OF_RECEIPT, receipt)


def signed(statement: Mapping[str, object], key: PrivateKey) -> str:
    """The envelope of a statement, as text."""
    payload = canonical_json(statement)
    one = {"keyid": key.public.key_id, "sig": _text(key.signature(signed_bytes(PAYLOAD_TYPE, payload)))}
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": _text(payload), "signatures": [one]}
    return canonical_json(envelope).decode()


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a signature is of.

    >>> signed_bytes("a/b", b"hello")
    b'DSSEv1 3 a/b 5 hello'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def signers(text: str, expected: Mapping[str, object], trusted: Mapping[str, PublicKey]) -> frozenset[str]:
    """Ids of the trusted keys that signed `expected`; a signature of a key that is not trusted counts for nothing.

    Raises:
        IntegrityError: it is no envelope, says something else, or a signature of a trusted key is wrong.
    """
    envelope = _read(Envelope, text, "an envelope")
    payload, content = _bytes(envelope.payload), canonical_json(expected)
    _read(Statement, payload, "a statement")
    if envelope.payload_type != PAYLOAD_TYPE or payload != content:
        raise IntegrityError("the envelope says something else than what it was kept with")
    found = set()
    for one in envelope.signatures:
        key = trusted.get(one.keyid)
        if key is None:
            continue
        if not key.verifies(_bytes(one.sig), signed_bytes(PAYLOAD_TYPE, payload)):
            raise IntegrityError(f"the signature of key {one.keyid[:12]} is wrong")
        found.add(one.keyid)
    return frozenset(found)


def key_ids(text: str) -> tuple[str, ...]:
    """Who claims to have signed an envelope, unchecked. Raises IntegrityError when it is none."""
    return tuple(one.keyid for one in _read(Envelope, text, "an envelope").signatures)


def predicate_of(text: str) -> Mapping[str, Any]:
    """What an envelope's statement says besides its subjects, unchecked. Raises IntegrityError when it is none."""
    return _read(Statement, _bytes(_read(Envelope, text, "an envelope").payload), "a statement").predicate


def _statement(subject: list[dict[str, Any]], kind: str, predicate: Mapping[str, object]) -> dict[str, object]:
    return {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": dict(predicate)}


def _read(form: type[M], text: str | bytes, noun: str) -> M:
    try:
        return form.model_validate_json(json.dumps(json.loads(text, object_pairs_hook=each_key_once)))
    except (ValidationError, ValueError, RecursionError) as error:
        raise IntegrityError(f"it is not {noun} as it was written") from error


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError("the envelope holds what is no base64") from error
    if _text(content) != text:  # the last character has bits that mean nothing
        raise IntegrityError("the envelope holds base64 that was written otherwise")
    return content
