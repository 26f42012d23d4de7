"""Promotion rules: what a version needs to go to a stage, from a policy file; what it lacks, all at once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from graftwork.core.errors import Problem
from graftwork.core.spec import Spec
from graftwork.registry.manifest import SaidVerdict
from graftwork.registry.stages import Stage

ENOUGH = {"not worse": ("not worse", "better"), "better": ("better",)}


class Demand(Spec):
    """What the certificate must say."""

    dimension: str = Field(min_length=1)
    """Such as accuracy or safety; all for the verdict over all dimensions."""

    reference: str = "base"
    """Beside whom: base, or full."""

    at_least: Literal["not worse", "better"] = "not worse"
    """The verdict that it needs; better is enough for not worse."""


class Rule(Spec):
    """What a version needs to go to a stage."""

    allowed_from: tuple[Literal["candidate", "canary", "production", "retired"], ...] = ()
    """Stages of which it must stand at one; any, or none, when empty."""

    approvers: int = Field(default=0, ge=0, le=20)
    """People who must have approved it for this name and stage. Who trained it never counts; 2 is usual."""

    certificate: tuple[Demand, ...] = ()
    """What its certificate must say; it needs none when empty."""

    signed: bool = False
    """Whether it must have a signature of a trusted key."""

    logits: bool = False
    """Whether it must have a fingerprint of logits, which a load replays."""


class PolicySpec(Spec):
    """The rules of a registry."""

    canary: Rule = Rule()
    """To a part of the traffic."""

    production: Rule = Rule()
    """To be what the name means."""

    keys: Literal["optional", "required"] = "optional"
    """Whether the command line asks for an API key; without one, whoever may write the folder may do everything."""

    keep_days: int = Field(default=90, ge=0, le=36_500)
    """Files of versions that no name points to are kept so long after the last moment that one did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a version has, for one name and stage.

    Attributes:
        stages: where it stands for the name.
        approvers: who approved it for the name and stage, but for who trained it.
        signers: trusted keys that signed it.
    """

    stages: frozenset[Stage]
    approvers: frozenset[str]
    verdicts: tuple[SaidVerdict, ...]
    signers: frozenset[str]
    has_logits: bool


def rule_for(policy: PolicySpec, stage: Stage) -> Rule:
    """The rule to get to a stage; to the others there is none."""
    return {"canary": policy.canary, "production": policy.production}.get(stage, Rule())


def unmet(rule: Rule, facts: Facts) -> tuple[Problem, ...]:
    """Everything that a version lacks; nothing when it may go.

    >>> facts = Facts(stages=frozenset(), approvers=frozenset(), verdicts=(), signers=frozenset(), has_logits=False)
    >>> [problem.path for problem in unmet(Rule(approvers=2, signed=True), facts)]
    ['approvers', 'signed']
    """
    found = []
    if rule.allowed_from and not facts.stages & set(rule.allowed_from):
        standing = ", ".join(sorted(facts.stages)) or "no stage of this name"
        found.append(Problem("stage", standing, f"{' or '.join(rule.allowed_from)}"))
    if len(facts.approvers) < rule.approvers:
        who = ", ".join(sorted(facts.approvers)) or "nobody"
        found.append(
            Problem(
                "approvers", who, f"{rule.approvers} people, none of them its trainer", "graftwork registry approve"
            )
        )
    found += [problem for demand in rule.certificate for problem in _unmet_demand(demand, facts.verdicts)]
    if rule.signed and not facts.signers:
        found.append(Problem("signed", "no trusted key", "a signature of a trusted key"))
    if rule.logits and not facts.has_logits:
        found.append(Problem("logits", None, "a fingerprint of logits"))
    return tuple(found)


def _unmet_demand(demand: Demand, verdicts: Sequence[SaidVerdict]) -> list[Problem]:
    said = [v.verdict for v in verdicts if (v.dimension, v.reference) == (demand.dimension, demand.reference)]
    if said and all(verdict in ENOUGH[demand.at_least] for verdict in said):
        return []
    where = f"certificate.{demand.dimension} beside {demand.reference}"
    return [Problem(where, said[0] if said else None, " or ".join(ENOUGH[demand.at_least]))]
