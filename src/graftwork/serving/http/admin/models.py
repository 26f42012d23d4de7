"""Models in memory, and how the server stands."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import APIRouter, Request

from graftwork.serving.http.admin.asked import Nothing
from graftwork.serving.http.admin.told import Done, EngineTold, ModelTold, Status
from graftwork.serving.http.bodies import body_as
from graftwork.serving.http.health import why_not_ready
from graftwork.serving.http.parts import holder, parts_of
from graftwork.serving.http.schema import asks, refusals

router = APIRouter(prefix="/admin/v1", tags=["admin"])

ON_A_MODEL = refusals(404, 408, 409, 413, 415)
NOTHING = asks(Nothing, required=False)


@router.get("/status", responses=refusals())
async def status(request: Request) -> Status:
    """How the server stands, and the tenant's models."""
    parts, who = parts_of(request), holder(request, "read")
    listed = await parts.models.listed(who)
    return Status(
        is_ready=not why_not_ready(parts),
        is_draining=parts.service.is_draining,
        requests_under_way=parts.service.under_way,
        engine=EngineTold(**asdict(parts.engine.report())),
        models=[
            ModelTold(
                name=one.name,
                version=one.version,
                stage=one.stage,
                is_in_memory=one.is_resident,
                is_pinned=one.is_pinned,
                answered_by=one.answered_by,
                refused=one.refused,
                unproved=one.unproved,
            )
            for one in listed
        ],
    )


@router.post("/models/{name}/load", responses=ON_A_MODEL, openapi_extra=NOTHING)
async def load(request: Request, name: str) -> Done:
    """Have what a name means now in memory."""
    parts, who = parts_of(request), holder(request, "promote")
    await body_as(Nothing, request, parts.spec, may_be_empty=True)
    await parts.models.load(who, name)
    return Done(name=name, done="loaded")


@router.post("/models/{name}/unload", responses=ON_A_MODEL, openapi_extra=NOTHING)
async def unload(request: Request, name: str) -> Done:
    """Take it out of memory once nobody uses it."""
    parts, who = parts_of(request), holder(request, "promote")
    await body_as(Nothing, request, parts.spec, may_be_empty=True)
    async with asyncio.timeout(parts.spec.times.request_s):
        await parts.models.unload(who, name)
    return Done(name=name, done="unloaded")


@router.post("/models/{name}/pin", responses=ON_A_MODEL, openapi_extra=NOTHING)
async def pin(request: Request, name: str) -> Done:
    """Load it and keep it."""
    parts, who = parts_of(request), holder(request, "promote")
    await body_as(Nothing, request, parts.spec, may_be_empty=True)
    await parts.models.pin(who, name)
    return Done(name=name, done="pinned")


@router.post("/models/{name}/unpin", responses=ON_A_MODEL, openapi_extra=NOTHING)
async def unpin(request: Request, name: str) -> Done:
    """Let it go when room is needed."""
    parts, who = parts_of(request), holder(request, "promote")
    await body_as(Nothing, request, parts.spec, may_be_empty=True)
    await parts.models.unpin(who, name)
    return Done(name=name, done="unpinned")
