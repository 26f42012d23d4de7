"""Whether the server lives, and whether it takes requests: the only paths without a key."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from graftwork.serving.http.parts import Parts, parts_of

router = APIRouter(prefix="/health", tags=["health"])
ENDED = "The engine has ended. The log says why; start the server anew."


class Live(BaseModel):
    """Whether it lives."""

    is_live: bool
    reason: str = Field(description="Why it does not; empty when it does.")


class Ready(BaseModel):
    """Whether it takes requests."""

    is_ready: bool
    is_draining: bool
    reason: str = Field(description="Why it takes no requests; empty when it does.")


@router.get("/live", response_model=Live, responses={503: {"model": Live, "description": "It has to be started anew."}})
async def live(request: Request) -> Response:
    """Whether the process can answer: not after its engine has ended, unless it is on its way out anyway."""
    parts = parts_of(request)
    has_died = not parts.engine.is_alive and not parts.service.is_draining
    told = Live(is_live=not has_died, reason=ENDED if has_died else "")
    return JSONResponse(told.model_dump(), 503 if has_died else 200)


@router.get("/ready", response_model=Ready, responses={503: {"model": Ready, "description": "Not now."}})
async def ready(request: Request) -> Response:
    """Whether its base is in memory, its engine answers, and it is not going out of service."""
    parts = parts_of(request)
    reason = why_not_ready(parts)
    told = Ready(is_ready=not reason, is_draining=parts.service.is_draining, reason=reason)
    return JSONResponse(told.model_dump(), 503 if reason else 200, {"retry-after": "5"} if reason else None)


def why_not_ready(parts: Parts) -> str:
    """Why a server takes no requests; empty when it does."""
    if parts.service.is_draining:
        return "It is going out of service."
    if not parts.engine.is_alive:
        return ENDED
    return "" if parts.service.is_ready else "It is starting."
