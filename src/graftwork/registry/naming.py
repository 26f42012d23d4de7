"""Names and their stages: promoted by rule, approved, rolled back, retired; what a name was at any moment.

A name moves only from where the caller saw it (`expected`): of several who saw the same, one wins and the others are
told. Every move is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from graftwork.core.digests import digest as digest_of
from graftwork.core.errors import ConflictError, NotFoundError, Problem, SpecError
from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import Query, Row, Transaction, time_text, to_us
from graftwork.registry.policy import Facts, rule_for, unmet
from graftwork.registry.signing.envelope import of_version, signers
from graftwork.registry.stages import Move, Stage, move_of, refuse_bad_name, stage_named
from graftwork.registry.state import Page, Registry, one, recorded
from graftwork.registry.versions import Version, version_of, version_row

LINE_OF_SUCCESSION: Sequence[Stage] = ("candidate", "canary", "production")


def resolve(registry: Registry, who: Principal, name: str, stage: Stage = "production") -> str:
    """The digest that a name points to.

    Raises:
        NotFoundError: it points to none.
    """
    who.refuse_unless("read")
    with registry.database.reading() as rows:
        found = current(rows, who, name, stage)
    if found is None:
        raise NotFoundError(f"{name!r} has no version in {stage}. `graftwork registry history {name}` shows its moves.")
    return found


def names(registry: Registry, who: Principal) -> dict[str, dict[str, str]]:
    """Every name, and the digest at each of its stages that points to one."""
    who.refuse_unless("read")
    with registry.database.reading() as rows:
        found = rows.select(Query(table="pointer", where={"tenant": who.tenant}))
    told: dict[str, dict[str, str]] = {str(name): {} for name in sorted({str(row["name"]) for row in found})}
    for row in found:
        if row["digest"] is not None:
            told[str(row["name"])][str(row["stage"])] = str(row["digest"])
    return told


def history(registry: Registry, who: Principal, name: str) -> list[Move]:
    """Every move of a name, the first one first. Raises NotFoundError when it never moved."""
    who.refuse_unless("read")
    with registry.database.reading() as rows:
        found = moves_in(rows, who, name)
    if not found:
        raise NotFoundError(f"no name {name!r}. `graftwork registry list` shows what there is.")
    return found


def at(registry: Registry, who: Principal, name: str, moment: datetime, stage: Stage = "production") -> Move | None:
    """The move that held at a moment, whose `after` is what the name was; None when it had not moved yet.

    Args:
        moment: with its time zone.
    """
    who.refuse_unless("read")
    query = Query(
        table="move",
        where={"tenant": who.tenant, "name": name, "stage": stage},
        at_most=("time_us", to_us(moment)),
        order="time_us",
        newest_first=True,
        limit=1,
    )
    with registry.database.reading() as rows:
        found = rows.select(query)
    return move_of(found[0]) if found else None


def nominate(
    registry: Registry, who: Principal, name: str, digest: str, *, expected: str | None, reason: str = ""
) -> None:
    """Make a version the candidate of a name.

    Raises:
        ConflictError: the name's candidate is not `expected`.
    """
    who.refuse_unless("add")
    with recorded(registry, who, "nominate", (digest,), name=name) as page:
        _there(page.rows, who, digest)
        _move(page, who, name, "candidate", digest, expected=expected, reason=reason)


def promote(
    registry: Registry, who: Principal, name: str, digest: str, to: Stage, *, expected: str | None, reason: str = ""
) -> None:
    """Take a version to a stage of a name, by its rule; it leaves the stages before that.

    Raises:
        ConflictError: the name's `to` is not `expected`; or the version does not meet the rule, with all that it lacks.
    """
    who.refuse_unless("promote")
    if to not in ("canary", "production"):
        raise SpecError([Problem("to", to, "canary or production", "`retire` takes a version out of its stage.")])
    with recorded(registry, who, "promote", (digest,), name=name, to=to, policy=digest_of(registry.policy)) as page:
        version = _there(page.rows, who, digest)
        problems = unmet(rule_for(registry.policy, to), _facts(registry, page.rows, who, name, to, version))
        if problems:
            raise ConflictError(f"{digest[:12]} does not go to {to} of {name!r}:\n" + "\n".join(map(str, problems)))
        _move(page, who, name, to, digest, expected=expected, reason=reason)
        for earlier in LINE_OF_SUCCESSION[: LINE_OF_SUCCESSION.index(to)]:
            if current(page.rows, who, name, earlier) == digest:
                _move(page, who, name, earlier, None, expected=digest, reason=f"went to {to}")


def approve(registry: Registry, who: Principal, name: str, digest: str, stage: Stage, *, reason: str = "") -> None:
    """Vouch for a version at a stage of a name.

    Raises:
        ConflictError: they trained it (four eyes), or have approved it already.
    """
    who.refuse_unless("approve")
    refuse_bad_name(name)
    with recorded(registry, who, "approve", (digest,), name=name, stage=stage) as page:
        if _there(page.rows, who, digest).trainer == who.actor:
            raise ConflictError(f"{who.actor} put {digest[:12]} in and cannot approve it. Ask somebody else.")
        row = {"tenant": who.tenant, "name": name, "stage": stage, "digest": digest, "approver": who.actor}
        page.insert("approval", {**row, "reason": reason, "time_us": page.time_us})


def rollback(
    registry: Registry,
    who: Principal,
    name: str,
    digest: str | None = None,
    *,
    expected: str | None,
    stage: Stage = "production",
    reason: str = "",
) -> str:
    """Point a name back to a version that it meant before; by default to the one before its last move. Its digest.

    Raises:
        ConflictError: the name is not at `expected`, never meant that version, or its files were given up.
    """
    who.refuse_unless("promote")
    with recorded(registry, who, "rollback", (digest,) if digest else (), name=name, stage=stage) as page:
        target = digest or _before_last(page.rows, who, name, stage)
        if target is None or (digest and not _was(page.rows, who, name, digest, (stage,))):
            what = f"version {digest[:12]}" if digest else "version before its last move"
            raise ConflictError(
                f"{name!r} had no {what} in {stage}. `graftwork registry history {name}` shows its moves."
            )
        _refuse_given_up(version_row(page.rows, who, target))
        _move(page, who, name, stage, target, expected=expected, reason=reason)
    return target


def retire(
    registry: Registry,
    who: Principal,
    name: str,
    *,
    expected: str | None,
    stage: Stage = "production",
    reason: str = "",
) -> None:
    """Let a name mean nothing at a stage; what it meant stays on record.

    Raises:
        ConflictError: the name is not at `expected`.
    """
    who.refuse_unless("promote")
    with recorded(registry, who, "retire", (expected,) if expected else (), name=name, stage=stage) as page:
        if current(page.rows, who, name, stage) is None:
            raise ConflictError(f"{name!r} has no version in {stage}.")
        _move(page, who, name, stage, None, expected=expected, reason=reason)


def current(rows: Transaction, who: Principal, name: str, stage: Stage) -> str | None:
    """The digest at a stage of a name; None when there is none."""
    found = one(rows, "pointer", {"tenant": who.tenant, "name": name, "stage": stage})
    return None if found is None or found["digest"] is None else str(found["digest"])


def moves_in(rows: Transaction, who: Principal, name: str) -> list[Move]:
    """Every move of a name, the first one first, within a transaction."""
    where = {"tenant": who.tenant, "name": name}
    return [move_of(row) for row in rows.select(Query(table="move", where=where, order="sequence"))]


def _before_last(rows: Transaction, who: Principal, name: str, stage: Stage) -> str | None:
    last = _newest_move(rows, {"tenant": who.tenant, "name": name, "stage": stage})
    return move_of(last).before if last else None


def _was(rows: Transaction, who: Principal, name: str, digest: str, stages: Iterable[Stage]) -> bool:
    where = {"tenant": who.tenant, "name": name, "after": digest}
    return any(_newest_move(rows, {**where, "stage": stage}) is not None for stage in stages)


def _newest_move(rows: Transaction, where: Row) -> Row | None:
    """By time, in which they are indexed: what is asked for is near the end of however many there are."""
    found = rows.select(Query(table="move", where=where, order="time_us", newest_first=True, limit=1))
    return found[0] if found else None


def _stages(rows: Transaction, who: Principal, name: str, digest: str) -> frozenset[Stage]:
    """Where a version stands for a name: at the stages that point to it; retired when it was at one and is at none."""
    where = {"tenant": who.tenant, "name": name, "digest": digest}
    standing = {stage_named(str(row["stage"])) for row in rows.select(Query(table="pointer", where=where))}
    if not standing and _was(rows, who, name, digest, LINE_OF_SUCCESSION):
        return frozenset({"retired"})
    return frozenset(standing)


def _there(rows: Transaction, who: Principal, digest: str) -> Version:
    row = version_row(rows, who, digest)
    _refuse_given_up(row)
    return version_of(row)


def _refuse_given_up(row: Row) -> None:
    if row["collected_us"] is not None:
        when = time_text(int(str(row["collected_us"])))
        raise ConflictError(f"the files of {str(row['digest'])[:12]} were given up at {when}. Add its run again.")


def _move(
    page: Page, who: Principal, name: str, stage: Stage, to: str | None, *, expected: str | None, reason: str
) -> None:
    refuse_bad_name(name)
    before = current(page.rows, who, name, stage)
    if before != expected:
        meant = before[:12] if before else "no version"
        seen = expected[:12] if expected else "no version"
        raise ConflictError(f"{name!r} in {stage} is {meant}, not {seen}: somebody moved it. Read it again.")
    if before == to:
        raise ConflictError(f"{name!r} in {stage} is {to[:12] if to else 'no version'} already.")
    where = {"tenant": who.tenant, "name": name, "stage": stage}
    page.put("pointer", {**where, "digest": to, "sequence": page.sequence})
    page.tell(to, **{stage: {"before": before, "after": to}})
    told = {"before": before, "after": to, "actor": who.actor, "reason": reason}
    page.insert("move", {**where, **told, "sequence": page.sequence, "time_us": page.time_us})


def _facts(registry: Registry, rows: Transaction, who: Principal, name: str, to: Stage, version: Version) -> Facts:
    where = {"tenant": who.tenant, "name": name, "stage": to, "digest": version.digest}
    approvers = {str(row["approver"]) for row in rows.select(Query(table="approval", where=where))}
    measured = version.manifest.evaluation
    return Facts(
        stages=_stages(rows, who, name, version.digest),
        approvers=frozenset(approvers - {version.trainer}),
        verdicts=measured.verdicts if measured else (),
        signers=trusted_signers(registry, version),
        has_logits=version.manifest.logits is not None,
    )


def trusted_signers(registry: Registry, version: Version) -> frozenset[str]:
    """Ids of the trusted keys that signed a version. Raises IntegrityError when one of their signatures is wrong."""
    if version.envelope is None:
        return frozenset()
    return signers(version.envelope, of_version(version.manifest), registry.trusted)
