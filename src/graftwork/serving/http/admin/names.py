"""Names and their moves."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from graftwork.registry import naming
from graftwork.registry.interface import time_text
from graftwork.registry.stages import refuse_bad_name
from graftwork.serving.http.admin.asked import Approval, Promotion, Retirement, Rollback
from graftwork.serving.http.admin.told import Approved, History, Moved, MoveTold, Names, NameTold
from graftwork.serving.http.bodies import body_as
from graftwork.serving.http.parts import holder, parts_of
from graftwork.serving.http.schema import asks, refusals

router = APIRouter(prefix="/admin/v1/names", tags=["admin"])

A_MOVE = refusals(404, 408, 409, 413, 415)


@router.get("", responses=refusals())
async def names(request: Request) -> Names:
    """Every name of the tenant."""
    parts, who = parts_of(request), holder(request, "read")
    found = await asyncio.to_thread(naming.names, parts.registry, who)
    return Names(names=[NameTold(name=name, stages=stages) for name, stages in found.items()])


@router.get("/{name}/history", responses=refusals(404))
async def history(request: Request, name: str) -> History:
    """Every move of a name."""
    parts, who = parts_of(request), holder(request, "read")
    moves = await asyncio.to_thread(naming.history, parts.registry, who, name)
    told = [
        MoveTold(
            sequence=move.sequence,
            time=time_text(move.time_us),
            stage=move.stage,
            before=move.before,
            after=move.after,
            actor=move.actor,
            reason=move.reason,
        )
        for move in moves
    ]
    return History(name=name, moves=told)


@router.post("/{name}/promote", responses=A_MOVE, openapi_extra=asks(Promotion))
async def promote(request: Request, name: str) -> Moved:
    """Take a version to a stage of a name, by the registry's rule."""
    parts, who = parts_of(request), holder(request, "promote")
    asked = await body_as(Promotion, request, parts.spec)
    refuse_bad_name(name)
    await asyncio.to_thread(
        naming.promote,
        parts.registry,
        who,
        name,
        asked.version,
        asked.to,
        expected=asked.expected,
        reason=asked.reason,
    )
    await parts.models.refresh()
    return Moved(name=name, stage=asked.to, before=asked.expected, after=asked.version)


@router.post("/{name}/approve", responses=A_MOVE, openapi_extra=asks(Approval))
async def approve(request: Request, name: str) -> Approved:
    """Vouch for a version at a stage of a name; its trainer cannot."""
    parts, who = parts_of(request), holder(request, "approve")
    asked = await body_as(Approval, request, parts.spec)
    await asyncio.to_thread(naming.approve, parts.registry, who, name, asked.version, asked.stage, reason=asked.reason)
    return Approved(name=name, stage=asked.stage, version=asked.version, approver=who.actor)


@router.post("/{name}/rollback", responses=A_MOVE, openapi_extra=asks(Rollback))
async def rollback(request: Request, name: str) -> Moved:
    """Point a name back to a version that it meant before."""
    parts, who = parts_of(request), holder(request, "promote")
    asked = await body_as(Rollback, request, parts.spec)
    refuse_bad_name(name)
    after = await asyncio.to_thread(
        naming.rollback,
        parts.registry,
        who,
        name,
        asked.version,
        expected=asked.expected,
        stage=asked.stage,
        reason=asked.reason,
    )
    await parts.models.refresh()
    return Moved(name=name, stage=asked.stage, before=asked.expected, after=after)


@router.post("/{name}/retire", responses=A_MOVE, openapi_extra=asks(Retirement))
async def retire(request: Request, name: str) -> Moved:
    """Let a name mean nothing at a stage."""
    parts, who = parts_of(request), holder(request, "promote")
    asked = await body_as(Retirement, request, parts.spec)
    refuse_bad_name(name)
    await asyncio.to_thread(
        naming.retire,
        parts.registry,
        who,
        name,
        expected=asked.expected,
        stage=asked.stage,
        reason=asked.reason,
    )
    await parts.models.refresh()
    return Moved(name=name, stage=asked.stage, before=asked.expected, after=None)
