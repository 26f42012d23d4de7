"""API keys of one's own tenant. Keys of others are made on the machine that holds the registry."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Request

from graftwork.core.errors import NotFoundError, Problem, SpecError
from graftwork.registry.access.keys import ApiKey, all_keys, new_key, revoke
from graftwork.registry.access.roles import Principal
from graftwork.registry.interface import time_text
from graftwork.registry.state import Registry
from graftwork.serving.http.admin.asked import NewKey, Nothing
from graftwork.serving.http.admin.told import Done, KeyMade, KeysTold, KeyTold
from graftwork.serving.http.bodies import body_as
from graftwork.serving.http.parts import holder, parts_of
from graftwork.serving.http.schema import asks, refusals

router = APIRouter(prefix="/admin/v1/keys", tags=["admin"])


@router.get("", responses=refusals())
async def keys(request: Request) -> KeysTold:
    """Every key of the tenant, without secrets."""
    parts, who = parts_of(request), holder(request, "administer")
    found = await asyncio.to_thread(_own, parts.registry, who)
    return KeysTold(keys=[_told(key) for key in found])


@router.post("", responses=refusals(408, 409, 413, 415), openapi_extra=asks(NewKey), status_code=201)
async def make(request: Request) -> KeyMade:
    """Make a key for somebody of the tenant; its text is told once."""
    parts, who = parts_of(request), holder(request, "administer")
    asked = await body_as(NewKey, request, parts.spec)
    ends = _moment(asked.expires)
    text = await asyncio.to_thread(
        new_key, parts.registry, who, asked.owner, asked.roles, scopes=asked.scopes, expires=ends
    )
    return KeyMade(id=text.split("_")[1], key=text)


@router.post("/{id}/revoke", responses=refusals(404, 408, 409, 413, 415), openapi_extra=asks(Nothing, required=False))
async def take_back(request: Request, id: str) -> Done:
    """Let a key open nothing any more, within the seconds that a verified key is believed."""
    parts, who = parts_of(request), holder(request, "administer")
    await body_as(Nothing, request, parts.spec, may_be_empty=True)
    await asyncio.to_thread(_revoke_own, parts.registry, who, id)
    return Done(name=id, done="revoked")


def _own(registry: Registry, who: Principal) -> list[ApiKey]:
    return [key for key in all_keys(registry, who) if key.tenant == who.tenant]


def _revoke_own(registry: Registry, who: Principal, id: str) -> None:
    if id not in {key.id for key in _own(registry, who)}:
        raise NotFoundError(f"There is no API key {id[:40]!r}.")
    revoke(registry, who, id)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise SpecError([Problem("expires", text, "a moment with its time zone, such as 2027-01-31T00:00:00Z")])
    return found.astimezone(UTC)


def _told(key: ApiKey) -> KeyTold:
    return KeyTold(
        id=key.id,
        owner=key.owner,
        roles=list(key.roles),
        scopes=list(key.scopes),
        made=time_text(key.made_us),
        expires=None if key.expires_us is None else time_text(key.expires_us),
        revoked=None if key.revoked_us is None else time_text(key.revoked_us),
    )
