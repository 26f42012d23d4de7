"""Conditions: what must be equal for subjects to be comparable, and every way in which they are not. Pure.

all subjects        base, evaluated_on, template, prompts, decoding, hardware, libraries, code
those trained       trained_on, order_seed, besides
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


def differences(manifests: Sequence[Manifest]) -> tuple[Problem, ...]:
    """Everything in which two subjects differ and must not, each beside the first that has it; none if comparable."""
    trained = [one for one in manifests if one.kind in ("adapter", "full")]
    return tuple(
        problem
        for fields, group in ((OF_ALL, manifests), (OF_TRAINED, trained))
        for one in group[1:]
        for name in fields
        for problem in _between(name, group[0], one)
    )


def _between(name: str, first: Manifest, other: Manifest) -> Iterator[Problem]:
    ours, theirs = getattr(other, name), getattr(first, name)
    if ours == theirs:
        return
    hint = f"Evaluate both with {WORDS[name]} alike."
    if not isinstance(ours, Mapping):
        yield Problem(f"{other.subject}.{name}", ours, f"{theirs!r}, as {first.subject} has it", hint)
        return
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            expected = f"{theirs.get(key)!r}, as {first.subject} has it"
            yield Problem(f"{other.subject}.{name}.{key}", ours.get(key), expected, hint)
