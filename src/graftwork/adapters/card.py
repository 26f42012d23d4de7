"""The card of an adapter: what `graftwork.json` beside PEFT's files says about where it comes from. Pure."""

from typing import Any, Literal

from pydantic import Field

from graftwork.base.facts import Quantised
from graftwork.base.fingerprint import Fingerprint
from graftwork.core.errors import IntegrityError
from graftwork.core.spec import Spec

FILE = "graftwork.json"

WORDS: dict[Quantised, str] = {"off": "unquantised", "int8": "in 8 bits", "int4": "in 4 bits"}


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

    quantised: Quantised = Field(default="off", exclude_if=lambda quantised: quantised == "off")
    """How its linear layers were kept in training: as they are when absent, or in 8 or 4 bits."""

    def fingerprint(self) -> Fingerprint:
        """The four digests as a fingerprint."""
        return Fingerprint(weights=self.weights, config=self.config, tokenizer=self.tokenizer, template=self.template)


class On(Spec):
    """The finished adapter that another one was trained on top of."""

    path: str = Field(min_length=1, max_length=4096)
    """Its folder, or its run's, when the upper one was trained."""

    near: str = Field(min_length=1, max_length=4096)
    """The way to its folder from the upper one's, so that both can be moved together."""

    digest: str = Field(min_length=64, max_length=64)
    """Its digest; another one is not taken for it."""


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

    on: On | None = Field(default=None, exclude_if=lambda on: on is None)
    """What it stands on; absent: on the base alone."""

    provenance: dict[str, Any] = Field(default_factory=dict)
    """Where it comes from: recipe, data, seed and versions, as the trainer recorded them."""


def note(ref: str, found: Fingerprint, quantised: Quantised = "off") -> BaseNote:
    """The note for a base called `ref`."""
    return BaseNote(
        ref=ref,
        weights=found.weights,
        config=found.config,
        tokenizer=found.tokenizer,
        template=found.template,
        quantised=quantised,
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


def other_format(card: Card, quantised: Quantised) -> str | None:
    """What to say when an adapter acts on its base in another format than in training; None when it is the same."""
    if card.base.quantised == quantised:
        return None
    was, now = (WORDS[one] for one in (card.base.quantised, quantised))
    return f"it was trained on its base {was} and acts on it {now}: its answers may differ from those measured then."
