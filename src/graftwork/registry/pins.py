"""Pins: whoever needs a version (a run, a server) keeps its files from being given up until a moment."""

from __future__ import annotations

from datetime import datetime

from graftwork.core.errors import ConflictError, NotFoundError, Problem, SpecError
from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import Row, to_us
from graftwork.registry.state import Registry, one, recorded
from graftwork.registry.versions import version_in


def pin(registry: Registry, who: Principal, digest: str, holder: str, until: datetime) -> None:
    """Keep the files of a version until a moment; pinned by the same holder again, the later word counts.

    Raises:
        SpecError: the moment is past, or the holder has no name.
        ConflictError: its files were given up already.
    """
    who.refuse_unless("add")
    until_us = to_us(until)
    problems = [] if holder else [Problem("holder", holder, "a name, such as run refund-desk")]
    if until_us <= to_us(registry.clock()):
        problems.append(Problem("until", until.isoformat(), "a moment that is to come"))
    if problems:
        raise SpecError(problems)
    with recorded(registry, who, "pin", (digest,), holder=holder, until_us=until_us) as page:
        if version_in(page.rows, who, digest).collected_us is not None:
            raise ConflictError(f"the files of {digest[:12]} were given up already. Add its run again.")
        row: Row = {"tenant": who.tenant, "digest": digest, "holder": holder, "until_us": until_us}
        page.put("pin", row)


def unpin(registry: Registry, who: Principal, digest: str, holder: str) -> None:
    """Need a version no longer. Raises NotFoundError when `holder` has no pin on it."""
    who.refuse_unless("add")
    with recorded(registry, who, "unpin", (digest,), holder=holder) as page:
        row = one(page.rows, "pin", {"tenant": who.tenant, "digest": digest, "holder": holder})
        if row is None or not isinstance(row["until_us"], int) or row["until_us"] <= page.time_us:
            raise NotFoundError(f"{holder!r} holds no pin on {digest[:12]}.")
        page.update("pin", row, {"until_us": page.time_us})
