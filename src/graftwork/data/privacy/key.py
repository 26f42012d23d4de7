"""The key of pseudonyms: where it is read from, what is derived from it, and that it is never shown."""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import NoReturn

from graftwork.core.errors import ConflictError, Problem, SpecError
from graftwork.data.privacy.spec import PrivacySpec

MIN_BYTES = 32
SALT = b"graftwork privacy 1"
HASH_BYTES = 32


class Key:
    """A secret of 32 bytes or more. It has no readable form, and does not pickle: workers read it from its source."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_BYTES:
            raise ValueError(f"a key has {MIN_BYTES} bytes or more")
        self._secret = secret

    def __repr__(self) -> str:
        return "Key(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; read it where it is used")

    def derived(self, purpose: str, num_bytes: int) -> bytes:
        """A key of its own for one purpose (HKDF with SHA-256, RFC 5869)."""
        extracted = hmac.digest(SALT, self._secret, hashlib.sha256)
        out, block = b"", b""
        for count in range(1, -(-num_bytes // HASH_BYTES) + 1):
            block = hmac.digest(extracted, block + purpose.encode() + bytes([count]), hashlib.sha256)
            out += block
        return out[:num_bytes]


def read_key(spec: PrivacySpec) -> Key | None:
    """The key that a request names; None where it names none.

    Raises:
        SpecError: the variable or file is missing, or what it holds is no key. The message never shows it.
    """
    if spec.key_env is not None:
        return key_from_env(spec.key_env)
    if spec.key_file is not None:
        return key_from_file(Path(spec.key_file))
    return None


def key_from_env(name: str) -> Key:
    """The key in an environment variable."""
    written = os.environ.get(name)
    if written is None:
        raise SpecError([Problem("key_env", name, "an environment variable that is set", f"Set {name} to the key.")])
    return _decoded(written, "key_env", name)


def key_from_file(path: Path) -> Key:
    """The key in a file."""
    try:
        written = path.read_text("ascii")
    except OSError as error:
        hint = "`graftwork privacy new-key FILE` writes one."
        raise SpecError([Problem("key_file", str(path), "a file that can be read", hint)]) from error
    except UnicodeDecodeError:
        written = ""
    return _decoded(written, "key_file", str(path))


def _decoded(written: str, field: str, source: str) -> Key:
    """The bytes of a key in hex or base64. Not chained to what the decoder says, which could show it."""
    compact = "".join(written.split())
    for decode in (bytes.fromhex, _from_base64):
        try:
            secret = decode(compact)
        except (ValueError, binascii.Error):
            continue
        if len(secret) >= MIN_BYTES and len(set(secret)) > MIN_BYTES // 4:
            return Key(secret)
    hint = "What it holds is not shown. `graftwork privacy new-key FILE` writes a right one."
    raise SpecError([Problem(field, source, f"a key of {MIN_BYTES} random bytes or more, in hex or base64", hint)])


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4), validate=True)


def write_new_key(path: Path) -> None:
    """Write a fresh key, readable by its owner alone.

    Raises:
        ConflictError: there is a file of this name; a key that is lost takes its pseudonyms with it.
        SpecError: the folder is not there or may not be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError(f"{path} is there already. A key is never overwritten; choose another name.") from error
    except OSError as error:
        raise SpecError(
            [Problem("FILE", str(path), "a place where a file may be written", "Make its folder first.")]
        ) from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(MIN_BYTES) + "\n")
