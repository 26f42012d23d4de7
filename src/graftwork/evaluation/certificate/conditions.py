"""Conditions: what must be equal for subjects to be comparable, and every way in which they are not. Pure.

all subjects        base, evaluated_on, template, prompts, decoding, hardware, libraries, code
those trained       trained_on, order_seed, besides

Trained on the same means: the same tokens and targets in the same rows, whatever settings led to them. Where one recipe
masks personal data and another does not, the rows are equal if there was none to mask, and else they are not. Rows in
another order, or some seen more often, are other training data, since the order of training is drawn over them. Method,
rate and length of training are what is compared, so they may differ.
"""

from collections.abc import Iterator, Mapping, Sequence

from graftwork.core.errors import Problem
from graftwork.evaluation.certificate.manifest import Manifest

OF_ALL = ("base", "evaluated_on", "template", "prompts", "decoding", "hardware", "libraries", "code")
OF_TRAINED = ("trained_on", "order_seed")
WORDS = {
    "base": "the base",
    "evaluated_on": "the items asked",
    "template": "the chat template",
    "prompts": "the prompt",
    "decoding": "the way answers are chosen",
    "hardware": "the hardware",
    "libraries": "the libraries",
    "code": "the version of graftwork",
    "trained_on": "the training data",
    "order_seed": "the seed of the order of training",
}


LENGTH = ("steps", "records_a_step")
"""Of a manifest's `training`, what is about its length: a recipe's own choice, as its rate is."""


def unknowns(manifests: Sequence[Manifest]) -> tuple[Problem, ...]:
    """What nobody knows of a trained subject, so that it cannot be seen to be equal; none if all is on record."""
    hint = "Give the folder of its run, which has the record; of one made elsewhere there is none."
    return tuple(
        Problem(f"{one.subject}.{name}", None, f"a record of {WORDS[name]}", hint)
        for one in _trained(manifests)
        for name in OF_TRAINED
        if not _is_known(one, name)
    )


def differences(manifests: Sequence[Manifest]) -> tuple[Problem, ...]:
    """Everything in which two subjects differ and must not, each beside the first that has it; none if comparable."""
    return tuple(
        problem
        for fields, group in ((OF_ALL, manifests), (OF_TRAINED, _trained(manifests)))
        for name in fields
        if (known := [one for one in group if name in OF_ALL or _is_known(one, name)])
        for one in known[1:]
        for problem in _between(name, known[0], one)
    )


def _trained(manifests: Sequence[Manifest]) -> list[Manifest]:
    return [one for one in manifests if one.kind in ("adapter", "full")]


def _is_known(manifest: Manifest, name: str) -> bool:
    return getattr(manifest, name) not in ("", None)


def _between(name: str, first: Manifest, other: Manifest) -> Iterator[Problem]:
    ours, theirs = getattr(other, name), getattr(first, name)
    if ours == theirs:
        return
    hint = f"{'Train' if name in OF_TRAINED else 'Evaluate'} both with {WORDS[name]} alike."
    if not isinstance(ours, Mapping):
        more = _why(first, other) if name == "trained_on" else ""
        yield Problem(f"{other.subject}.{name}", ours, f"{theirs!r}, as {first.subject} has it", hint + more)
        return
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            expected = f"{theirs.get(key)!r}, as {first.subject} has it"
            yield Problem(f"{other.subject}.{name}.{key}", ours.get(key), expected, hint)


def _why(first: Manifest, other: Manifest) -> str:
    """What the recipes say otherwise of their data; it need not be all of the reason, since files may differ too."""
    ours, theirs = other.training, first.training
    keys = [key for key in sorted({*ours, *theirs} - {*LENGTH}) if ours.get(key) != theirs.get(key)]
    apart = [f"{key} {_told(ours.get(key))} and {_told(theirs.get(key))}" for key in keys]
    return f" Their recipes have: {'; '.join(apart)}." if apart else ""


def _told(value: object) -> str:
    return "not set" if value is None else repr(value)
