"""Garbage: files of versions that nobody needs any more. Versions themselves stay on record for ever.

Needed is what a name points to at any stage, what one pointed to within the keep period, what was added within it, what
a pin holds, and what any of these stands on. Files go in two steps. First the versions are marked in the ledger. Then,
with writers kept out, blobs that no version needs are removed: a writer puts its blobs first and looks once more,
within its own change, whether all are there, so it either comes before and is counted, or comes after and is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import Blob, Query, Row, Transaction, to_us
from graftwork.registry.stages import Move, move_of
from graftwork.registry.state import Page, Registry, recorded
from graftwork.registry.versions import Version, version_of

GRACE = timedelta(hours=1)
"""Blobs that were put less long ago stay: somebody may be about to record them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    """What is given up.

    Attributes:
        kept: why each version that stays is needed.
        blobs: what no version needs any more, old enough to go.
    """

    versions: tuple[str, ...]
    kept: Mapping[str, str]
    blobs: tuple[Blob, ...]

    @property
    def num_bytes(self) -> int:
        """What the blobs take."""
        return sum(blob.num_bytes for blob in self.blobs)


def needed(
    versions: Sequence[Version], pointers: Iterable[Row], moves: Iterable[Move], pins: Iterable[Row], *, since_us: int
) -> dict[str, str]:
    """Why each version that is needed is; pure.

    Args:
        moves: in their order.
        pins: those that still hold.
        since_us: where the keep period begins.
    """
    reasons = {v.digest: "added lately" for v in versions if v.added_us >= since_us}
    for move in moves:
        if move.before is not None and move.time_us >= since_us:
            reasons[move.before] = f"{move.name!r} meant it lately in {move.stage}"
    reasons |= {str(row["digest"]): f"pinned by {row['holder']}" for row in pins}
    for row in pointers:
        if row["digest"] is not None:
            reasons[str(row["digest"])] = f"{row['name']!r} means it in {row['stage']}"
    return _with_what_they_stand_on(versions, reasons)


def plan(registry: Registry, who: Principal, *, keep: timedelta | None = None) -> Garbage:
    """What `collect` would give up now. Nothing is changed.

    Args:
        keep: the keep period; that of the policy when None.
    """
    who.refuse_unless("administer")
    with registry.database.reading() as rows:
        return _garbage(registry, rows, who, keep, gone=frozenset())


def collect(registry: Registry, who: Principal, *, keep: timedelta | None = None) -> Garbage:
    """Give up what nobody needs; what was given up."""
    who.refuse_unless("administer")
    with recorded(registry, who, "collect") as page:
        found = _garbage(registry, page.rows, who, keep, gone=frozenset())
        for digest in found.versions:
            _mark(page, who, digest)
    with registry.database.writing() as rows:  # no writer can record a version while blobs go
        blobs = _unneeded(registry, rows, gone=frozenset())
        for blob in blobs:
            registry.blobs.remove(blob.digest)
    return Garbage(versions=found.versions, kept=found.kept, blobs=blobs)


def _garbage(
    registry: Registry, rows: Transaction, who: Principal, keep: timedelta | None, gone: frozenset[str]
) -> Garbage:
    period = timedelta(days=registry.policy.keep_days) if keep is None else keep
    mine = {"tenant": who.tenant}
    now_us = to_us(registry.clock())
    versions = [version_of(row) for row in rows.select(Query(table="version", where=mine))]
    versions = [version for version in versions if version.collected_us is None]
    kept = needed(
        versions,
        rows.select(Query(table="pointer", where=mine)),
        [move_of(row) for row in rows.select(Query(table="move", where=mine, order="sequence"))],
        [row for row in rows.select(Query(table="pin", where=mine)) if _holds(row, now_us)],
        since_us=now_us - period // timedelta(microseconds=1),
    )
    gone |= {version.digest for version in versions if version.digest not in kept}
    return Garbage(
        versions=tuple(sorted(gone)),
        kept=kept,
        blobs=_unneeded(registry, rows, gone=frozenset((who.tenant, digest) for digest in gone)),
    )


def _unneeded(registry: Registry, rows: Transaction, gone: frozenset[tuple[str, str]]) -> tuple[Blob, ...]:
    """Blobs that no version of any tenant needs, but for those that are to be `gone`; young ones stay."""
    wanted = {
        note.digest
        for row in rows.select(Query(table="version"))
        if row["collected_us"] is None and (row["tenant"], row["digest"]) not in gone
        for note in version_of(row).manifest.files
    }
    oldest = registry.clock() - GRACE
    found = [blob for blob in registry.blobs.each() if blob.digest not in wanted and blob.modified <= oldest]
    return tuple(sorted(found, key=lambda blob: blob.digest))


def _mark(page: Page, who: Principal, digest: str) -> None:
    row = page.rows.select(Query(table="version", where={"tenant": who.tenant, "digest": digest}))[0]
    page.update("version", row, {"collected_us": page.time_us})
    page.tell(digest)


def _holds(pin: Row, now_us: int) -> bool:
    until_us = pin["until_us"]
    return isinstance(until_us, int) and now_us < until_us


def _with_what_they_stand_on(versions: Sequence[Version], reasons: Mapping[str, str]) -> dict[str, str]:
    by_content, by_digest = defaultdict(list), {version.digest: version for version in versions}
    for version in versions:
        by_content[version.manifest.content].append(version)
    found, waiting = dict(reasons), [by_digest[digest] for digest in reasons if digest in by_digest]
    while waiting:
        upper = waiting.pop()
        for below in by_content[upper.manifest.on or ""]:
            if below.digest not in found:
                found[below.digest] = f"{upper.digest[:12]} stands on it"
                waiting.append(below)
    return found
