"""What a version is: a manifest without a name, whose canonical JSON is its content, that one's digest its identity."""

import json
import re
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from graftwork.core.digests import canonical_json, digest
from graftwork.core.errors import IntegrityError, Problem, SpecError
from graftwork.core.files import each_key_once
from graftwork.core.spec import Spec, parse, plain

DIGEST = re.compile(r"[0-9a-f]{64}")
LIMIT_BYTES = 4 << 20
"""Most bytes of a manifest that are read."""


class FileNote(Spec):
    """A file of the version."""

    path: str = Field(
        min_length=1, max_length=512, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$"
    )
    """Where it lies within the version, such as adapter/adapter_model.safetensors."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of its bytes."""

    num_bytes: int = Field(ge=0)
    """How many there are."""


class BaseParts(Spec):
    """The base that the version belongs to."""

    ref: str
    """Where it was found."""

    weights: str
    """Digest of its weights."""

    config: str
    """Digest of its config."""

    tokenizer: str
    """Digest of its tokenizer."""

    template: str
    """Digest of its chat template."""

    quantised: str = "off"
    """How its linear layers were kept in training."""


class DataDigests(Spec):
    """What it was trained and measured on."""

    train: str
    """Digest of the records learned from."""

    evaluation: str
    """Digest of the records held out."""

    rows: str | None = None
    """Digest of the rows trained on: tokens, targets and lengths in their order, and how often each is seen."""

    report: str | None = None
    """Digest of the data report."""


class SaidVerdict(Spec):
    """A verdict of the certificate on this version."""

    dimension: str
    """Such as accuracy; "all" for the one over all dimensions."""

    reference: str
    """Beside whom: base, or full."""

    verdict: str
    """better, not worse, worse or not shown."""


class Evaluated(Spec):
    """What was measured."""

    result: str
    """Digest of the evaluation's result."""

    certificate: str | None = None
    """Digest of the certificate, as it says itself."""

    verdicts: tuple[SaidVerdict, ...] = ()
    """What the certificate says, checked when the version was put in."""


class Manifest(Spec):
    """All that a version is. It has no name; names point to it."""

    format: Literal[1] = 1
    """Version of this form."""

    kind: Literal["adapter", "model"]
    """What was trained."""

    content: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the adapter's specs and tensors, or of the model, as its trainer computed it."""

    base: BaseParts
    """The base it was trained on."""

    on: str | None = None
    """Content digest of the adapter that it stands on."""

    recipe: str
    """Digest of the recipe."""

    data: DataDigests
    """Digests of its data."""

    seed: int
    """Seed of the training."""

    num_steps: int = Field(ge=0)
    """Steps that it was trained for."""

    versions: dict[str, str]
    """Code and libraries that trained it."""

    environment: dict[str, Any] = Field(default_factory=dict)
    """What else its last bits follow from, such as threads."""

    evaluation: Evaluated | None = None
    """What was measured; null when nothing was."""

    logits: str | None = None
    """Digest of its fingerprint of logits, which a load replays; null when it has none."""

    files: tuple[FileNote, ...] = Field(min_length=1)
    """Every file of the version, by path."""

    @model_validator(mode="after")
    def _each_file_once_and_in_order(self) -> Self:
        paths = [one.path for one in self.files]
        if paths != sorted(set(paths)):
            raise SpecError([Problem("files", paths, "each path once, sorted")])
        return self


def manifest_bytes(manifest: Manifest) -> bytes:
    """The one text of a manifest."""
    return canonical_json(plain(manifest))


def manifest_digest(manifest: Manifest) -> str:
    """Names the version."""
    return digest(plain(manifest))


def read_manifest(text: str | bytes, expected: str | None = None) -> Manifest:
    """A manifest from its text, held against the digest that it was kept under.

    Raises:
        IntegrityError: it is none, is not written canonically, or is another one.
    """
    where = f"version {expected[:12]}" if expected else "the manifest"
    try:
        manifest = parse(Manifest, json.loads(text, object_pairs_hook=each_key_once))
        written = text.encode() if isinstance(text, str) else text
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where}: its manifest cannot be read ({error}).") from error
    if written != manifest_bytes(manifest):
        raise IntegrityError(f"{where}: its manifest is not as it was written.")
    if expected is not None and manifest_digest(manifest) != expected:
        raise IntegrityError(f"{where}: its manifest is another one's, {manifest_digest(manifest)[:12]}.")
    return manifest
