"""Tokens to text in whole characters: what of a character has not come yet is held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

HALF = "\ufffd"
"""What a decoder writes for bytes that are no character, or not yet."""

MOST_MISSING = 3
"""A character has four bytes at most: so many of them may have come without it."""

LONGEST_WINDOW = 64

Decode = Callable[[Sequence[int]], str]


class TokenTexts:
    """Texts and bytes of a tokenizer's tokens.

    Args:
        tokenizer: a fast tokenizer of `transformers`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._added: dict[int, str] = {i: token.content for i, token in tokenizer.added_tokens_decoder.items()}

    def decode(self, tokens_T: Sequence[int]) -> str:
        """The text of tokens, control tokens left out."""
        text: str = self._backend.decode(list(tokens_T), skip_special_tokens=True)
        return text

    def bytes_of(self, token: int) -> bytes:
        """What a token adds to a text, in UTF-8; nothing for a number that no token has."""
        if token in self._added:
            return self._added[token].encode()
        piece = self._backend.id_to_token(token)
        if piece is None:
            return b""
        if self._is_byte_level:
            return bytes(BYTE_OF[char] for char in piece)
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes.fromhex(piece[3:5])
        return str(piece).replace("\u2581", " ").encode()

    def label(self, token: int) -> str:
        r"""A token as text; `bytes:\xe4` and the like where it is no whole characters."""
        told = self.bytes_of(token)
        try:
            return told.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in told)

    @cached_property
    def _is_byte_level(self) -> bool:
        return "ByteLevel" in repr(self._backend.decoder)


class Characters:
    """Text of tokens as they come, one after another; what is told never changes.

    >>> bytes_so_far = lambda tokens: bytes(tokens).decode(errors="replace")
    >>> said = Characters(bytes_so_far)
    >>> [said.push(byte) for byte in "a你".encode()]
    ['a', '', '', '你']
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._num_before = 0
        """Tokens of the window that were told whole before the others came."""
        self._told = 0
        """Characters of the window's text that were told."""

    def push(self, token: int) -> str:
        """What can be told now."""
        self._window.append(token)
        text = self._decode(self._window)
        half = self._num_held(text)
        new = text[self._told : len(text) - half]
        self._told = max(self._told, len(text) - half)
        if new and not half:
            self._begin_at(self._num_before)
        elif len(self._window) > LONGEST_WINDOW:
            self._begin_at(LONGEST_WINDOW // 2)
        return new

    def rest(self) -> str:
        """What was held back, when nothing more will come."""
        text = self._decode(self._window)[self._told :]
        self._told += len(text)
        return text

    def _num_held(self, text: str) -> int:
        """Characters at the end of the window's text that may become others. So many tokens after a whole one may all
        belong to one character; some tokenizers write every byte of a run as none until the last of it is there."""
        half = _num_half(text)
        return half if len(self._window) - self._num_before <= MOST_MISSING else min(half, MOST_MISSING)

    def _begin_at(self, first: int) -> None:
        """Forget the tokens before; those after it stay, since a tokenizer may write a text's first token otherwise."""
        self._window = self._window[first:]
        self._num_before = len(self._window)
        text = self._decode(self._window)
        self._told = len(text) - min(_num_half(text), MOST_MISSING)


def _num_half(text: str) -> int:
    return len(text) - len(text.rstrip(HALF))


def _byte_of() -> dict[str, int]:
    """Which byte a character stands for in byte-level vocabularies: itself if it prints, else the next from 256 on."""
    prints = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in prints]
    return {**{chr(byte): byte for byte in prints}, **{chr(256 + i): byte for i, byte in enumerate(others)}}


BYTE_OF = _byte_of()
