"""Digests: SHA-256 over canonical bytes, the one way this package names content."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

CHUNK_BYTES = 1 << 20


def canonical_json(value: object) -> bytes:
    """The one JSON text of `value`: sorted keys, no spaces, UTF-8, no NaN.

    >>> canonical_json({"b": 1, "a": [1.5, "中"]}).decode()
    '{"a":[1.5,"中"],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest(value: object) -> str:
    """SHA-256, in hex, of a spec or of any plain value.

    >>> digest({"a": 1}) == digest({"a": 1.0})
    False
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_of_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """SHA-256, in hex, of bytes that arrive in pieces."""
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes, read in pieces so that size does not matter."""
    with path.open("rb") as file:
        return digest_of_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))
