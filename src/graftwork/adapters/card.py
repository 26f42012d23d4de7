"""The card of an adapter: what `graftwork.json` beside PEFT's files says about where it comes from. Pure."""

from typing import Any, Literal

from pydantic import Field

from graftwork.base.fingerprint import Fingerprint
from graftwork.core.errors import IntegrityError
from graftwork.core.spec import Spec

FILE = "graftwork.json"


class BaseNote(Spec):
    """The base that an adapter belongs to."""

    ref: str
    """What the user called it."""

    weights: str
    """Digest of its weights."""

    config: str
    """Digest of its config."""

    tokenizer: str
    """Digest of its tokenizer."""

    template: str
    """Digest of its chat template."""

    def fingerprint(self) -> Fingerprint:
        """The four digests as a fingerprint."""
        return Fingerprint(weights=self.weights, config=self.config, tokenizer=self.tokenizer, template=self.template)


class Card(Spec):
    """What an adapter's folder says about itself beside PEFT's files."""

    format: Literal[1] = 1
    """Version of this file's form."""

    spec: dict[str, Any] | None
    """The adapter as it was asked for; null when it was made elsewhere."""

    base: BaseNote
    """The base it was trained on."""

    digest: str = Field(min_length=64, max_length=64)
    """Digest of the adapter: resolved specs and the bytes of all tensors."""

    provenance: dict[str, Any] = Field(default_factory=dict)
    """Where it comes from: recipe, data, seed and versions, as the trainer recorded them."""


def note(ref: str, found: Fingerprint) -> BaseNote:
    """The note for a base called `ref`."""
    return BaseNote(
        ref=ref,
        weights=found.weights,
        config=found.config,
        tokenizer=found.tokenizer,
        template=found.template,
    )


def refuse_other_base(card: Card, ref: str, found: Fingerprint, where: str) -> None:
    """Raise unless the base at hand, called `ref` with fingerprint `found`, is the one on the card.

    Raises:
        IntegrityError: it is another base; says in which parts.
    """
    if parts := card.base.fingerprint().differences(found):
        raise IntegrityError(
            f"{where} was trained on another base: {card.base.ref!r} there, {ref!r} here; they differ in "
            f"{', '.join(parts)}. Load it on the base it belongs to."
        )
