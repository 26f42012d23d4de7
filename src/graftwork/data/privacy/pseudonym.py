"""Pseudonyms: one placeholder for one value, the same in every process, made with nothing but the key.

A placeholder is `[KIND_CODE]`. CODE is the first 50 bits of HMAC-SHA256 over the kind and the canonical value, so all
written forms of a value share it; a form other than the usual one adds `.FORM`, 20 bits over the form as it is written.
With a million values the chance of two sharing a code is 1 in 2,000; that is found, and refused, where vaults meet.
"""

import base64
import hashlib
import hmac
import re

from graftwork.data.privacy.key import Key

CODE_LENGTH, FORM_LENGTH = 10, 4
PLACEHOLDER = re.compile(rf"\[[A-Z][A-Z_]*_[A-Z2-7]{{{CODE_LENGTH}}}(?:\.[A-Z2-7]{{{FORM_LENGTH}}})?\]")


class Pseudonyms:
    """Makes placeholders and seals what they stand for, under keys derived from one key."""

    def __init__(self, key: Key) -> None:
        self._names = key.derived("names of pseudonyms", 32)
        self._vault = key.derived("vault of pseudonyms", 64)

    def placeholder(self, kind: str, canonical: str, standard: str, written: str) -> str:
        """The placeholder of a value in one written form."""
        code = self._code(f"{kind}\0{canonical}", CODE_LENGTH)
        form = "" if written == standard else "." + self._code(f"{kind}\0{canonical}\0{written}", FORM_LENGTH)
        return f"[{kind.upper()}_{code}{form}]"

    def sealed(self, placeholder: str, written: str) -> bytes:
        """`written`, encrypted and bound to its placeholder: the same every time, worthless without the key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(self._vault).encrypt(written.encode(), [placeholder.encode()])

    def opened(self, placeholder: str, sealed: bytes) -> str | None:
        """What was sealed; None when the key is another one or the bytes were changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        try:
            return AESSIV(self._vault).decrypt(sealed, [placeholder.encode()]).decode()
        except (InvalidTag, ValueError):
            return None

    def number(self, purpose: str, value: bytes, num_bytes: int) -> int:
        """A number that only the key and `value` decide."""
        digest = hmac.digest(self._names, purpose.encode() + b"\0" + value, hashlib.sha512)
        return int.from_bytes(digest[:num_bytes], "big")

    def _code(self, value: str, length: int) -> str:
        digest = hmac.digest(self._names, value.encode(), hashlib.sha256)
        return base64.b32encode(digest).decode()[:length]
