"""What names mean and what answers for them, for `/v1/models` and operators. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftwork.serving.models.names import called_text

if TYPE_CHECKING:
    from graftwork.registry.versions import Version
    from graftwork.serving.asked import Served
    from graftwork.serving.models.loading import Failure
    from graftwork.serving.models.memory import Memory
    from graftwork.serving.models.names import Names, ServedStage


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A model that can be asked for.

    Attributes:
        name: as clients call it.
        version: digest of the version that the name means; None for the base.
        stage: of the name; empty for the base.
        content: digest of what the version alone computes, that of the base's weights for the base.
        base: what the base was called in training.
        on: content of the adapter that it stands on.
        added_us: when the version was put in, in microseconds since 1970.
        is_resident: whether the version is in memory and proved.
        answered_by: the version that requests are given now; None when nobody has asked yet.
        refused: why the version is not in memory; empty when nothing is known against it.
        unproved: why it answers without proof that it acts as in training; a version of a registry never does.
    """

    name: str
    version: str | None
    stage: str
    content: str
    base: str
    on: str | None
    added_us: int
    is_resident: bool
    is_pinned: bool
    answered_by: str | None
    refused: str
    unproved: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsReport:
    """How the memory for adapters stands.

    Attributes:
        resident: versions that answer.
        used_bytes: theirs, and of those on their way.
        disk_bytes: of versions copied to the local disk.
        waiting: versions that wait for memory.
        loading: versions on their way, those that wait among them.
    """

    resident: int
    used_bytes: int
    budget_bytes: int
    pinned_bytes: int
    disk_bytes: int
    waiting: int
    loading: int


def listed(
    names: Names,
    kept: Mapping[str, Version],
    *,
    base: Served,
    answered_by: Mapping[tuple[str, ServedStage], str],
    memory: Memory,
    failures: Mapping[str, Failure],
) -> tuple[Listed, ...]:
    """The base first, then the names in their order, production before canary before candidate."""
    first = Listed(
        name=base.name,
        version=None,
        stage="",
        content=base.content,
        base=base.name,
        on=None,
        added_us=0,
        is_resident=True,
        is_pinned=True,
        answered_by=None,
        refused="",
    )
    found = [first]
    for (name, stage), version in names.at.items():
        manifest, text = kept[version].manifest, called_text(name, stage)
        resident = memory.state.find(version)
        reason = failures[version].reason if version in failures else ""
        if text == base.name:
            reason = f"the base of this server is called so. Ask for {name}:{stage}."
        one = Listed(
            name=text,
            version=version,
            stage=stage,
            content=manifest.content,
            base=manifest.base.ref,
            on=manifest.on,
            added_us=kept[version].added_us,
            is_resident=version in memory,
            is_pinned=resident is not None and resident.is_pinned,
            answered_by=answered_by.get((name, stage)),
            refused=reason,
        )
        found.append(one)
    return tuple(found)
