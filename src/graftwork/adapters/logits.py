"""A fingerprint of logits: what an adapter and its base say to a few fixed prompts, as numbers. Format and prompts.

`logits.json` beside an adapter is written by the stack that trained it, through the adapter as it lies on the disk.
Whoever loads the adapter elsewhere asks the same and compares: an adapter that was loaded and does not act, or acts
otherwise, is told at once. Pure; `adapters.probing` computes the numbers.

Legend: P prompts, T tokens, K tokens whose logits are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from graftwork.base.facts import Quantised
from graftwork.core.digests import canonical_json, digest
from graftwork.core.errors import IntegrityError, Problem, SpecError
from graftwork.core.files import each_key_once
from graftwork.core.spec import Spec, parse, plain

FILE = "logits.json"
LIMIT_BYTES = 1_000_000
"""Most bytes of a fingerprint that are read."""

KEPT = 16
"""Of each prompt the logits of so many tokens, the adapter's most likely ones."""

MOST_TOKENS = 512
"""Of a prompt."""

STEP = 2.0**-16
"""Logits are kept in multiples of it, which JSON holds exactly: far less than any number format's own rounding."""

PROMPTS = (
    "In one sentence: what is compound interest?",
    "List three colours, separated by commas.",
    "用一句话说明什么是复利。",
    "请写出三座城市的名字，用逗号分开。",
)
"""What is asked, each as the only turn of a user. A fingerprint keeps the tokens, so that other prompts in a later
version do not spoil what was recorded with these."""

DtypeName = Literal["float32", "bfloat16", "float16", "float64"]


class Asked(Spec):
    """One prompt and the logits after its last token."""

    prompt: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the messages."""

    tokens: tuple[int, ...] = Field(min_length=1, max_length=MOST_TOKENS)
    """tokens_T as the base's template and tokenizer wrote them."""

    ids: tuple[int, ...] = Field(min_length=1, max_length=KEPT)
    """The adapter's most likely next tokens, the first one first."""

    adapter: tuple[float, ...]
    """Their logits with the adapter."""

    base: tuple[float, ...]
    """Their logits of the base alone."""

    under: tuple[float, ...] | None = None
    """Their logits of what the adapter stands on; null where that is the base."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        problems = [
            Problem(name, len(values), f"{len(self.ids)} numbers, as there are ids")
            for name, values in (("adapter", self.adapter), ("base", self.base), ("under", self.under))
            if values is not None and len(values) != len(self.ids)
        ]
        if len(set(self.ids)) < len(self.ids):
            problems.append(Problem("ids", list(self.ids), "each token once"))
        if min(*self.ids, *self.tokens) < 0:
            problems.append(Problem("ids", min(*self.ids, *self.tokens), "tokens, which are 0 or more"))
        if problems:
            raise SpecError(problems)
        return self

    @property
    def before(self) -> tuple[float, ...]:
        """Their logits without the adapter: of what it stands on, or of the base."""
        return self.base if self.under is None else self.under

    @property
    def effect(self) -> float:
        """The most that the adapter moves one of these logits."""
        return max(abs(a - b) for a, b in zip(self.adapter, self.before, strict=True))


class LogitFingerprint(Spec):
    """What was recorded of an adapter."""

    format: Literal[1] = 1
    """Version of this file's form."""

    adapter: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the adapter, as its card has it."""

    base: str = Field(pattern=r"^[0-9a-f]{64}$")
    """LogitFingerprint of the base in one digest."""

    dtype: DtypeName
    """Number format of the base."""

    quantised: Quantised = "off"
    """How its linear layers were kept."""

    asked: tuple[Asked, ...] = Field(min_length=1, max_length=16)
    """The prompts."""

    @property
    def effect(self) -> float:
        """The most that the adapter moves a logit; 0 when it does nothing, as an untrained one."""
        return max(one.effect for one in self.asked)

    def at_strongest(self) -> Self:
        """What was recorded of the prompt alone after which the adapter moves a logit most."""
        return self.model_copy(update={"asked": (max(self.asked, key=lambda one: one.effect),)})


def message_of(prompt: str) -> tuple[Mapping[str, str], ...]:
    """The conversation that asks a prompt."""
    return ({"role": "user", "content": prompt},)


def digest_of_prompt(prompt: str) -> str:
    """Names a prompt."""
    return digest([dict(message) for message in message_of(prompt)])


def rounded(logit: float) -> float:
    """A logit as it is kept.

    >>> rounded(0.1), rounded(-20.0)
    (0.100006103515625, -20.0)
    """
    return round(logit / STEP) * STEP


def fingerprint_bytes(fingerprint: LogitFingerprint) -> bytes:
    """The one text of a fingerprint."""
    return canonical_json(plain(fingerprint))


def read_fingerprint(text: bytes, where: str = FILE) -> LogitFingerprint:
    """A fingerprint from its text.

    Raises:
        IntegrityError: it is none, or is not written canonically.
    """
    if len(text) > LIMIT_BYTES:
        raise IntegrityError(f"{where} has {len(text):,} bytes; at most {LIMIT_BYTES:,} are read.")
    try:
        found = parse(LogitFingerprint, json.loads(text, object_pairs_hook=each_key_once))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where} is no fingerprint of logits: {error}") from error
    if fingerprint_bytes(found) != text:
        raise IntegrityError(f"{where} is not as it was written. Restore it.")
    return found
