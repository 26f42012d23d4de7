"""What a client calls a model, and what names mean in the registry. Pure but for `names_of`.

triage              the version in production
triage:canary       the one at that stage: candidate, canary or production
triage@3fa9c1       that version of triage, by the beginning of its digest
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from graftwork.core.errors import NotFoundError, did_you_mean
from graftwork.registry import naming
from graftwork.registry.access.roles import Principal
from graftwork.registry.stages import NAME
from graftwork.registry.state import Registry, last_row
from graftwork.registry.versions import SHORTEST

ServedStage = Literal["candidate", "canary", "production"]
SERVED: tuple[ServedStage, ...] = ("production", "canary", "candidate")
CALLED = re.compile(
    rf"(?P<name>{NAME.pattern})(?::(?P<stage>{'|'.join(SERVED)})|@(?P<prefix>[0-9a-f]{{{SHORTEST},64}}))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Called:
    """A model as a client called it.

    Attributes:
        prefix: of a version's digest; None where a stage is meant.
    """

    name: str
    stage: ServedStage
    prefix: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What the names of a tenant mean.

    Attributes:
        sequence: of the ledger's last entry when they were read.
        at: by name and stage the digest of the version; in the order of names, production first.
    """

    sequence: int
    at: Mapping[tuple[str, ServedStage], str]

    def texts(self) -> list[str]:
        """How clients call them: each name with its stages, production first."""
        return [called_text(name, stage) for name, stage in self.at]


def called(text: str) -> Called | None:
    """What a text means as the name of a model; None when it cannot be one.

    >>> called("triage:canary")
    Called(name='triage', stage='canary', prefix=None)
    >>> called("triage@3fa9c1").prefix, called("triage:gone"), called("Triage")
    ('3fa9c1', None, None)
    """
    told = CALLED.fullmatch(text)
    if told is None:
        return None
    stage: ServedStage = next((stage for stage in SERVED if stage == told["stage"]), SERVED[0])
    return Called(name=told["name"], stage=stage, prefix=told["prefix"])


def called_text(name: str, stage: ServedStage) -> str:
    """How a client calls a name at a stage.

    >>> called_text("triage", "production"), called_text("triage", "canary")
    ('triage', 'triage:canary')
    """
    return name if stage == "production" else f"{name}:{stage}"


def unknown(text: str, known: Iterable[str]) -> NotFoundError:
    """The same words for a name that nobody has, and for another tenant's.

    Args:
        known: what who asks may know of.
    """
    meant = did_you_mean(text, known)
    return NotFoundError(" ".join(filter(None, [f"no model {text!r}.", meant, "/v1/models lists what there is."])))


def names_of(registry: Registry, who: Principal) -> Names:
    """What the names of a tenant mean now. Raises as reading the registry does."""
    sequence = head(registry)  # before the names: what moves in between is seen at the next look
    told = naming.names(registry, who)
    at = {(name, stage): digest for name, stages in told.items() for stage, digest in _served(stages)}
    return Names(sequence=sequence, at=at)


def head(registry: Registry) -> int:
    """Number of the ledger's last entry; 0 when it has none."""
    with registry.database.reading() as rows:
        last = last_row(rows)
    return int(str(last["sequence"])) if last else 0


def _served(stages: Mapping[str, str]) -> Iterable[tuple[ServedStage, str]]:
    return ((stage, stages[stage]) for stage in SERVED if stage in stages)
