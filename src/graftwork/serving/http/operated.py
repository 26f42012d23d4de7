"""What operators and auditors ask for: counts for Prometheus, receipts of one's own tenant."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from graftwork.core.errors import NotFoundError
from graftwork.serving.http.parts import holder, parts_of
from graftwork.serving.http.schema import refusals

router = APIRouter(tags=["operations"])
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
ENVELOPE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The envelope.", "content": {"application/json": {"schema": {"type": "object"}}}}
}


@router.get("/metrics", response_class=Response, responses={**COUNTS, **refusals(404)})
async def metrics(request: Request) -> Response:
    """Counts of the whole server, names of models of all tenants among them."""
    parts = parts_of(request)
    holder(request, "administer")
    if parts.metrics is None:
        raise NotFoundError("This server counts nothing.")
    return Response(await asyncio.to_thread(parts.metrics), media_type=METRICS_TYPE)


@router.get("/v1/receipts/{id}", response_class=Response, responses={**ENVELOPE, **refusals(404)})
async def receipt(request: Request, id: str) -> Response:
    """A receipt in its envelope (DSSE), by its digest or by its answer's id: x-request-id, a dash, 0 for the first."""
    parts, who = parts_of(request), holder(request, "read")
    envelope = await asyncio.to_thread(parts.receipts.find, who.tenant, id)
    return Response(envelope, media_type="application/json")
