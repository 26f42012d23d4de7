"""Whether the server lives, and whether it takes requests: the only paths without a key."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from graftwork.serving.http.parts import parts_of

router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """It lives."""

    is_live: bool


class Ready(BaseModel):
    """Whether it takes requests."""

    is_ready: bool
    is_draining: bool


@router.get("/live")
async def live() -> Live:
    """Answers as long as the process can."""
    return Live(is_live=True)


@router.get("/ready", response_model=Ready, responses={503: {"model": Ready, "description": "Not now."}})
async def ready(request: Request) -> Response:
    """Whether its base is in memory and it is not going out of service."""
    service = parts_of(request).service
    told = Ready(is_ready=service.is_ready and not service.is_draining, is_draining=service.is_draining)
    return JSONResponse(
        told.model_dump(), 200 if told.is_ready else 503, None if told.is_ready else {"retry-after": "5"}
    )
