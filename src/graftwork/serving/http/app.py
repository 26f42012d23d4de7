"""The app: all paths behind the door."""

from __future__ import annotations

import time
from functools import partial

from fastapi import Depends, FastAPI, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from graftwork import __version__
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.registry.access.keys import authenticated
from graftwork.serving.http import health, operated
from graftwork.serving.http.admin import keys, models, names
from graftwork.serving.http.admin.asked import Approval, NewKey, Nothing, Promotion, Retirement, Rollback
from graftwork.serving.http.door import App, Door
from graftwork.serving.http.keys import Keys
from graftwork.serving.http.openai import routes
from graftwork.serving.http.openai.asked import ChatRequest, CompletionRequest
from graftwork.serving.http.openai.told import ChatChunk
from graftwork.serving.http.parts import Parts
from graftwork.serving.http.schema import schema_of

SPECS = (ChatRequest, ChatChunk, CompletionRequest, Nothing, Promotion, Approval, Rollback, Retirement, NewKey)
"""What is expected as a body, and what is streamed in another form than it is told whole."""

ROUTERS = (routes.router, models.router, names.router, keys.router, operated.router, health.router)


class Paths(FastAPI):
    """Lets every exception through to the door, which alone makes answers of them."""

    def build_middleware_stack(self) -> ASGIApp:
        """As FastAPI's, without what makes answers of exceptions."""
        return AsyncExitStackMiddleware(self.router)


def make_app(parts: Parts) -> App:
    """The whole server as an ASGI app."""
    verify = partial(authenticated, parts.registry)
    door = Keys(verify, time.monotonic, parts.spec.times.key_s)
    return Door(inner_app(parts), parts.spec, door, parts.service, parts.watcher)


def inner_app(parts: Parts) -> FastAPI:
    """The paths, without the door."""
    app = Paths(
        title="graftwork",
        summary="One frozen base, many adapters, in OpenAI's form.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        dependencies=[Depends(_refuse_unknown_query)],
    )
    app.state.parts = parts
    for router in ROUTERS:
        app.include_router(router)
    schema = schema_of(app, SPECS)
    app.add_api_route("/openapi.json", lambda: schema, include_in_schema=False)
    return app


def _refuse_unknown_query(request: Request) -> None:
    route = request.scope.get("route")
    known = [field.name for field in route.dependant.query_params] if isinstance(route, APIRoute) else []
    strange = [name for name in request.query_params if name not in known]
    if strange:
        hints = [did_you_mean(name, known) for name in strange]
        raise SpecError(
            Problem(name, request.query_params[name], "no such parameter of the query", hint)
            for name, hint in zip(strange, hints, strict=True)
        )
