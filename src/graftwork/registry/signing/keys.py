"""Keys: Ed25519 in PEM files, private ones readable by their owner alone; its id is the public half's digest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from graftwork.core.errors import ConflictError, Problem, SpecError
from graftwork.core.files import write_bytes

PUBLIC = ".pub"
HINT = "graftwork registry keys new FILE writes one."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a signature is checked with."""

    raw: bytes

    @property
    def key_id(self) -> str:
        """SHA-256 of the 32 bytes, in hex."""
        return sha256(self.raw).hexdigest()

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether `signature` is of `content` by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """What is signed with. It has no readable form."""

    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.key_id[:12]}, hidden)"

    @property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def signature(self, content: bytes) -> bytes:
        """The signature of `content`, 64 bytes."""
        return self._key.sign(content)


def write_new_key(path: Path) -> PublicKey:
    """Write a fresh private key, and its public half beside it as `<path>.pub`.

    Raises:
        ConflictError: one of the files is there; a key that is lost is lost.
        SpecError: the folder is not there or may not be written.
    """
    key = Ed25519PrivateKey.generate()
    public = PrivateKey(key).public
    beside = path.with_name(path.name + PUBLIC)
    if beside.exists():
        raise ConflictError(f"{beside} is there already. A key is never overwritten; choose another name.")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError(f"{path} is there already. A key is never overwritten; choose another name.") from error
    except OSError as error:
        raise SpecError(
            [Problem("FILE", str(path), "a place where a file may be written", error.strerror or "")]
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    write_bytes(beside, public_pem(public))
    return public


def read_private_key(path: Path) -> PrivateKey:
    """The private key in a file.

    Raises:
        SpecError: it cannot be read, others than its owner may read it, or it is no Ed25519 key. Never shows it.
    """
    content = _content(path)
    if path.stat().st_mode & 0o077:
        raise SpecError([Problem("key", str(path), "a file that its owner alone may read", f"chmod 600 {path}")])
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SpecError([Problem("key", str(path), "a private Ed25519 key in PEM, without a password", HINT)])
    return PrivateKey(key)


def read_public_key(path: Path) -> PublicKey:
    """The public key in a file.

    Raises:
        SpecError: it cannot be read, or is no public Ed25519 key.
    """
    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SpecError([Problem("key", str(path), "a public Ed25519 key in PEM", HINT)])
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def public_pem(public: PublicKey) -> bytes:
    """A public key as it is kept in files."""
    key = Ed25519PublicKey.from_public_bytes(public.raw)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def trusted_in(folder: Path) -> Mapping[str, PublicKey]:
    """The public keys in a folder, by id; none when it is not there. Raises SpecError for a file that is none."""
    keys = [read_public_key(path) for path in sorted(folder.glob(f"*{PUBLIC}"))]
    return {key.key_id: key for key in keys}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError([Problem("key", str(path), "a file that can be read", HINT)]) from error
