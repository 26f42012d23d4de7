"""The guard of a server: for each model what is done about its prompts and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from graftwork.core.digests import digest
from graftwork.core.recipe import read_recipe
from graftwork.core.spec import parse, plain
from graftwork.serving.guard.finding import FILTERS, Filter, FilterSpec, Intervention, Side
from graftwork.serving.guard.spec import GuardSpec, PolicySpec
from graftwork.serving.guard.stage import Stage
from graftwork.serving.guard.stream import GuardedStream


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What became of a prompt.

    Attributes:
        texts: as the model may see them; none when the request is refused.
        refusal: why it is, in the policy's words; None when it is not.
        interventions: what was done.
    """

    texts: tuple[str, ...]
    refusal: str | None = None
    interventions: tuple[Intervention, ...] = ()


@dataclass(frozen=True, slots=True)
class _Set:
    """A filter as a policy sets it."""

    name: str
    spec: FilterSpec
    filter: Filter

    def stage(self, side: Side, source: str) -> Stage:
        """The filter at work on one text."""
        like = Intervention(filter=self.name, kind="", action=self.spec.action, side=side, length=0)
        return Stage(self.filter.finder(source), like)


class ModelGuard:
    """What is done about the prompts and answers of a model. It keeps nothing from one request to the next."""

    def __init__(self, policy: PolicySpec) -> None:
        """Raises SpecError or NotFoundError for lists that cannot be read."""
        self._policy = policy
        self._prompt, self._answer = _made(policy.prompt), _made(policy.answer)

    @cached_property
    def digest(self) -> str:
        """Names the policy with all that it reads."""
        evidence = [dict(one.filter.evidence) for one in (*self._prompt, *self._answer)]
        return digest({"policy": plain(self._policy), "evidence": evidence})

    @property
    def has_answer_filters(self) -> bool:
        """Whether anything is done about answers."""
        return bool(self._answer)

    def on_prompt(self, texts: Sequence[str]) -> Decision:
        """What becomes of a prompt before the model sees it.

        Args:
            texts: of each turn.
        """
        seen: list[str] = []
        done: list[Intervention] = []
        for text in texts:
            stream = GuardedStream([one.stage("prompt", "") for one in self._prompt], "")
            seen.append(stream.push(text) + stream.close())
            done += stream.interventions
            if stream.is_blocked:
                return Decision(texts=(), refusal=self._policy.refusal, interventions=tuple(done))
        return Decision(texts=tuple(seen), interventions=tuple(done))

    def stream(self, texts: Sequence[str]) -> GuardedStream:
        """The filters of one answer.

        Args:
            texts: what was asked, as the model saw it: the source that `facts` holds the answer against.
        """
        source = "\n".join(texts)
        return GuardedStream([one.stage("answer", source) for one in self._answer], self._policy.blocked_text)


@dataclass(frozen=True)
class Guard:
    """The guard of a server."""

    spec: GuardSpec
    _guards: dict[str | None, ModelGuard] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """All lists are read now. Raises SpecError or NotFoundError for those that cannot be."""
        self._guards[None] = ModelGuard(self.spec.default)
        self._guards.update({name: ModelGuard(policy) for name, policy in self.spec.models.items()})

    def for_model(self, name: str) -> ModelGuard:
        """What holds for a model as it is asked for: its own policy, that of its name without stage or version, or the
        default, so that nobody gets around a policy by another way to call the same model."""
        return self._guards.get(name) or self._guards.get(bare(name)) or self._guards[None]

    @property
    def names(self) -> tuple[str, ...]:
        """Models that have a policy of their own, as the file calls them."""
        return tuple(self.spec.models)


def bare(name: str) -> str:
    """The name of a model without stage and version.

    >>> bare("triage:canary"), bare("triage@3fa9c1"), bare("triage")
    ('triage', 'triage', 'triage')
    """
    return re.split("[:@]", name, maxsplit=1)[0]


def read_guard(path: Path) -> Guard:
    """The guard that a YAML file describes; lists are named from where it lies.

    Raises:
        SpecError: the file is wrong, or a list that it names; all that is.
        NotFoundError: the file, or a list that it names, is not there.
    """
    spec = parse(GuardSpec, read_recipe(path))
    policies = {name: _beside(policy, path.parent) for name, policy in spec.models.items()}
    return Guard(spec.model_copy(update={"default": _beside(spec.default, path.parent), "models": policies}))


def _beside(policy: PolicySpec, folder: Path) -> PolicySpec:
    sides = {side: [_from(one, folder) for one in getattr(policy, side)] for side in ("prompt", "answer")}
    return parse(PolicySpec, {**plain(policy), **sides})


def _from(spec: FilterSpec, folder: Path) -> Mapping[str, object]:
    told = dict(plain(spec))
    if "lexicons" in told:
        told["lexicons"] = [str(folder / name) for name in spec.lexicons]  # type: ignore[attr-defined]
    return told


def _made(specs: Iterable[Any]) -> tuple[_Set, ...]:
    return tuple(_Set(spec.filter, spec, FILTERS[spec.filter].made(spec)) for spec in specs)
