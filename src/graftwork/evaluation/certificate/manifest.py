"""Manifests: all that one subject was made of and evaluated with, under a digest of itself. Pure.

A manifest on disk is plain data with its own `digest`, so that a change by hand is seen. `read` refuses such a one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError
from graftwork.evaluation.result import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One subject's conditions.

    Attributes:
        weights: digest of what is its own: the adapter, the tuned model; of the base its fingerprint.
        base: fingerprint of the base: its weights, tokenizer and template.
        evaluated_on: by dimension a digest of its items: questions, expected answers, groups.
        trained_on: digest of the rows trained on, in their order, and how often each is seen; empty for a base, and
            where nobody knows.
        order_seed: what the order of training was drawn from; None for a base, and where nobody knows.
        training: what its recipe says of its data and its length, for people; nothing that must be equal by itself.
        template: digest of the chat template, with what it was set to.
        prompts: digest of the system prompt and of examples put before questions; of nothing where there are none.
        decoding: how answers are chosen: greedy, most tokens, dtype, attention, quantisation.
        hardware: device, its name and number, memory.
        libraries: version by package: the lock that was in force.
        code: version of this package, with a digest of its sources if they are not a release's.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    subject: str
    kind: Kind
    weights: str
    base: str
    evaluated_on: Mapping[str, str]
    trained_on: str = ""
    order_seed: int | None = None
    training: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    template: str
    prompts: str = ""
    decoding: Mapping[str, str | int | float | bool | None]
    hardware: Mapping[str, str | int | float | None]
    libraries: Mapping[str, str]
    code: str


def told(manifest: Manifest) -> dict[str, Any]:
    """As plain data, with its digest."""
    plain: dict[str, Any] = _adapter().dump_python(manifest, mode="json")
    return {**plain, "digest": digest(plain)}


def read(plain: Mapping[str, Any]) -> Manifest:
    """The manifest that `plain` tells.

    Raises:
        IntegrityError: it is none, or it is not as it was written.
    """
    name = plain.get("subject", "of no subject")
    content = {key: value for key, value in plain.items() if key != "digest"}
    try:
        manifest = _adapter().validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise IntegrityError(f"The manifest {name} is none: {where}: {first['msg']}.") from error
    if plain.get("digest") != digest(content):
        raise IntegrityError(f"The manifest of {name} is not as it was written: its digest is another.")
    return manifest


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)
