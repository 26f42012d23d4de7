"""Bases that are no language models: any model of `transformers` that is in memory, without a tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import PreTrainedModel

from graftwork.base.between import Between
from graftwork.base.discover import facts_of
from graftwork.base.facts import BaseFacts
from graftwork.base.fingerprint import VOLATILE_CONFIG, Fingerprint
from graftwork.base.tensors import digest_of_tensors
from graftwork.core.digests import digest
from graftwork.core.errors import Problem, SpecError


class Host(Protocol):
    """What adapters need of a base: a loaded `Base` and an `AnyModel` alike."""

    @property
    def ref(self) -> str:
        """What the user calls it."""
        ...

    @property
    def model(self) -> PreTrainedModel:
        """The `transformers` model; no parameter asks for a gradient."""
        ...

    @property
    def facts(self) -> BaseFacts:
        """Where adapters can attach."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """What identifies it."""
        ...

    @property
    def between(self) -> Between:
        """Lighter ways back through what lies between its linear layers."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class AnyModel:
    """A frozen model of any kind, as `wrapped` makes it. It has no chat format, so nothing here speaks with it."""

    ref: str
    model: PreTrainedModel
    facts: BaseFacts
    fingerprint: Fingerprint
    between: Between

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.model.parameters()).device


def wrapped(model: PreTrainedModel, *, ref: str) -> AnyModel:
    """`model` as a base for adapters. It is frozen and put in evaluation mode itself, and not copied.

    Its fingerprint is over config and tensors as they are in memory, so an adapter comes back on the same numbers in
    the same type alone, and not on a base that `load_base` reads from files of the same model.

    Args:
        ref: what the user calls it.

    Raises:
        SpecError: nothing is known about models of this form.
    """
    try:
        facts = facts_of(model)
    except (AttributeError, TypeError) as error:
        expected = "a model of transformers whose config tells its hidden size"
        raise SpecError([Problem("model", type(model).__name__, expected, str(error))]) from error
    return AnyModel(
        ref=ref,
        model=model.requires_grad_(False).eval(),
        facts=facts,
        fingerprint=_fingerprint_in_memory(model),
        between=Between(model),
    )


def _fingerprint_in_memory(model: PreTrainedModel) -> Fingerprint:
    config = json.loads(model.config.to_json_string(use_diff=False))
    steady = {key: value for key, value in config.items() if key not in VOLATILE_CONFIG}
    return Fingerprint(
        weights=digest_of_tensors(model.state_dict().items()),
        config=digest(steady),
        tokenizer=digest({}),
        template=digest(""),
    )
