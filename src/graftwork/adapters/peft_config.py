"""PEFT's `adapter_config.json`, whatever its method: keys that are known, and the layers that a config means. Pure.

Written for the keys of PEFT 0.21 and those of earlier versions. A key we do not know, or one that asks for something
this package would not do, is refused: an adapter is loaded whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import regex
from pydantic import Discriminator, Tag, model_validator

from graftwork.adapters.file_form import CONFIG as FILE
from graftwork.adapters.file_form import Header
from graftwork.adapters.targets import CLOSED_ROLES
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from graftwork.base.facts import BaseFacts, LinearPlace

S = TypeVar("S", bound=Spec)
T = TypeVar("T")

PREFIX = "base_model.model."
LONGEST_PATTERN = 10_000
MOST_PATTERNS = 1000
MATCH_LIMIT_S = 1.0
"""A pattern that takes longer for one name was made to take forever."""

WITHOUT_EFFECT = frozenset(
    {"peft_version", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "task_type"}
)
"""Keys of every method that change nothing here. No code that `auto_mapping` names is ever imported."""

OFF: Mapping[str, object] = {"modules_to_save": None}
"""Keys of every method that ask for more than the method, and the value that asks for nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What is known of a method's keys beside those that its spec reads.

    Attributes:
        without_effect: change nothing here.
        off: ask for more than the method, unless they have this value or an empty one.
        more: what they ask for, in words.
        may_be_null: are written as null when nothing is asked.
    """

    without_effect: frozenset[str] = frozenset()
    off: Mapping[str, object] = field(default_factory=dict)
    more: str
    may_be_null: frozenset[str] = frozenset()


def _form(value: object) -> str:
    return {str: "a pattern", int: "a number"}.get(type(value), "a list")


Patterns = Annotated[
    Annotated[str, Tag("a pattern")] | Annotated[tuple[str, ...], Tag("a list")],
    Discriminator(_form),
]


class Targeted(Spec):
    """The keys that say where, in the words of every method at linear layers."""

    target_modules: Patterns
    """Names of layers, or a regular expression."""

    exclude_modules: Patterns = ()
    """Names of layers to leave out, or a regular expression."""

    @model_validator(mode="after")
    def _patterns_can_be_read(self) -> Targeted:
        problems = [
            problem
            for key in ("target_modules", "exclude_modules")
            if isinstance(value := getattr(self, key), str)
            for problem in pattern_problems(key, [value])
        ]
        if problems:
            raise SpecError(problems)
        return self


def pattern_problems(key: str, patterns: Iterable[str]) -> list[Problem]:
    """What is wrong with regular expressions under `key`."""
    problems, told = [], list(patterns)
    others = [pattern for pattern in told if pattern != exactly(re.sub(r"\\(.)", r"\1", pattern[1:]))]
    if len(others) > MOST_PATTERNS:
        return [Problem(key, f"{len(others)} patterns", f"at most {MOST_PATTERNS} that are not one layer's name")]
    for pattern in others:
        if len(pattern) > LONGEST_PATTERN:
            problems.append(Problem(key, pattern, f"a regular expression of at most {LONGEST_PATTERN} characters"))
            continue
        try:
            re.compile(pattern)
            regex.compile(pattern)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            problems.append(Problem(key, pattern, "a name or a regular expression", str(error)))
    return problems


def read(cls: type[S], config: Mapping[str, Any], keys: Keys, header: Header) -> S:
    """The keys of a config that say what is computed and where, each of its type.

    Raises:
        SpecError: everything that is wrong with it.
    """
    without_effect, off = (WITHOUT_EFFECT | keys.without_effect) - cls.model_fields.keys(), {**OFF, **keys.off}
    known = cls.model_fields.keys() | without_effect | off.keys()
    problems = [
        Problem(f"{FILE}: {key}", config[key], "a key of PEFT 0.21", did_you_mean(key, known))
        for key in sorted(config.keys() - known)
    ]
    problems += [
        Problem(f"{FILE}: {key}", config[key], repr(value), _more(key, config[key], keys, header))
        for key, value in off.items()
        if key in config and config[key] != value and config[key] not in (None, [], {}, False)
    ]
    nothing = {key for key in keys.may_be_null if config.get(key) is None}
    told = {key: value for key, value in config.items() if key in cls.model_fields.keys() - nothing}
    try:
        found = parse(cls, told)
    except SpecError as error:
        problems += [replace(p, path=f"{FILE}: {p.path}") for p in error.problems]
    if problems:
        raise SpecError(problems)
    return found


def _more(key: str, value: object, keys: Keys, header: Header) -> str:
    if key != "modules_to_save" or not isinstance(value, list):
        return keys.more
    whole = [name for name in header if any(f".{module}." in name for module in value)]
    held = f"The file holds {sum(prod(header[name]) for name in whole):,} numbers of them. " if whole else ""
    return (
        f"{held}Whole layers that were trained beside the adapter are no adapter: merge them into the base in PEFT "
        "(merge_and_unload) and use that as the base."
    )


def places(config: Targeted, facts: BaseFacts) -> list[LinearPlace]:
    """The places that the config means, in the base's order.

    Raises:
        SpecError: it means none, or one that cannot be adapted.
    """
    targets, excluded = as_set(config.target_modules), as_set(config.exclude_modules)
    chosen = [p for p in facts.places if _is_target(p, targets) and not named(p.name, excluded)]
    problems = [
        Problem(f"{FILE}: target_modules", place.name, f"layers that can be adapted; this is the base's {place.role}")
        for place in chosen
        if place.role in CLOSED_ROLES
    ]
    if problems:
        raise SpecError(problems)
    return chosen


def refuse_no_place(config: Targeted, facts: BaseFacts) -> None:
    """Say that the config's targets are no layers of this base."""
    hint = f"Names here: {', '.join(sorted({p.name.rpartition('.')[2] for p in facts.places}))}."
    asked = plain(config)["target_modules"]
    raise SpecError([Problem(f"{FILE}: target_modules", asked, "layers of this base", hint)])


def as_set(targets: str | tuple[str, ...]) -> str | frozenset[str]:
    """The same targets, quick to look up."""
    return targets if isinstance(targets, str) else frozenset(targets)


def _is_target(place: LinearPlace, targets: str | frozenset[str]) -> bool:
    return place.role != "head" if targets == "all-linear" else named(place.name, targets)


def named(name: str, targets: str | tuple[str, ...] | frozenset[str]) -> bool:
    """Whether a layer is one of these: by a regular expression for the whole name, or by the name's last parts."""
    if isinstance(targets, str):
        return matches(targets, name, whole=True)
    return any(suffix in targets for suffix in _suffixes(name))


def _suffixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts))]


class ByPattern(Generic[T]):
    """Values of layers by patterns for the end of their names, as PEFT looks them up: the first that matches holds.

    >>> ByPattern({"q_proj": 2, r"^layers\\.0\\.k_proj": 3}).at("layers.0.k_proj", 8)
    3
    """

    def __init__(self, patterns: Mapping[str, T]) -> None:
        self._exact: dict[str, tuple[int, T]] = {}
        self._others: list[tuple[int, str, T]] = []
        for order, (pattern, value) in enumerate(patterns.items()):
            literal = re.sub(r"\\(.)", r"\1", pattern[1:])
            if pattern == exactly(literal):  # looked up, not tried: a large base has many of them
                self._exact.setdefault(literal, (order, value))
            else:
                self._others.append((order, rf"(.*\.)?({pattern})$", value))

    def at(self, name: str, default: T) -> T:
        """The value at a layer."""
        last, found = self._exact.get(name, (len(self._exact) + len(self._others), default))
        for order, pattern, value in self._others:
            if order < last and matches(pattern, name):
                return value
        return found


def matches(pattern: str, name: str, *, whole: bool = False) -> bool:
    """Whether a pattern from a file matches a name of ours, from its start or as a whole."""
    return _match(pattern, name, whole=whole) is not None


def matched(pattern: str, name: str) -> str | None:
    """The last group of a pattern from a file that matches a name of ours from its start."""
    found = _match(pattern, name, whole=False)
    return found.group(found.re.groups) if found else None


def _match(pattern: str, name: str, *, whole: bool) -> Any:
    try:
        return (regex.fullmatch if whole else regex.match)(pattern, name, timeout=MATCH_LIMIT_S)
    except TimeoutError as error:
        raise SpecError([Problem(FILE, pattern, "a regular expression that is matched in reasonable time")]) from error


def short_names(names: set[str], facts: BaseFacts) -> list[str]:
    """Short names when they mean these places and no others; whole names else."""
    leaves = {name.rpartition(".")[2] for name in names}
    meant = {p.name for p in facts.places if p.name.rpartition(".")[2] in leaves}
    return sorted(leaves if meant == names else names)


def task_type(facts: BaseFacts) -> str | None:
    """What PEFT wraps the base for: None for a model that writes no text."""
    return "CAUSAL_LM" if facts.is_causal else None


def exactly(name: str) -> str:
    """The pattern that matches this name alone."""
    return f"^{re.escape(name)}"
