"""The published schema of the API: true to what is asked, told and refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from graftwork.core.spec import Spec
from graftwork.serving.http.errors import ErrorBody

REF = "#/components/schemas/{model}"

WORDS = {
    400: "The request is wrong: where, what was given, what is expected.",
    401: "No key, or one that opens nothing.",
    403: "Whoever holds the key may not do this.",
    404: "There is no such name.",
    405: "Not with this method.",
    408: "The body came too slowly, or the answer took too long.",
    409: "It contradicts what is on record.",
    413: "The body is too long.",
    415: "The body is no JSON in UTF-8.",
    429: "More than whoever asks may have now; Retry-After says when.",
    431: "The headers are too long.",
    500: "It failed here; the message says what to do.",
    503: "No room now, or going out of service; Retry-After says when.",
}
ALWAYS = (400, 401, 403, 405, 431, 500, 503)
"""What any path with a key may answer."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a path may answer, beside those that any may."""
    return {status: {"model": ErrorBody, "description": WORDS[status]} for status in sorted({*ALWAYS, *statuses})}


def asks(spec: type[Spec], *, required: bool = True) -> dict[str, Any]:
    """What a path expects as its body."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=spec.__name__)}}}
    return {"requestBody": {"required": required, "content": content}}


def streams(chunk: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The answer of a path that may stream."""
    told = [{"$ref": REF.format(model=one.__name__)} for one in (chunk, ErrorBody)]
    content = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"anyOf": told}}
    data = {"anyOf": [{"const": "[DONE]"}, content]}
    event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
    words = "The answer; with stream: true its chunks as server-sent events, the last of which is [DONE]."
    return {200: {"description": words, "content": {"text/event-stream": {"schema": event}}}}


def schema_of(app: FastAPI, specs: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """The schema of everything in `app`; `specs` are what its paths expect and stream."""
    schema = get_openapi(title="graftwork", version=app.version, summary=app.summary, routes=app.routes)
    parts = schema.setdefault("components", {}).setdefault("schemas", {})
    for spec in specs:
        described = spec.model_json_schema(ref_template=REF)
        parts.update(described.pop("$defs", {}))
        parts[spec.__name__] = described
    for unused in ("HTTPValidationError", "ValidationError"):
        parts.pop(unused, None)
    schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in schema["paths"].items():
        for method in methods.values():
            method.get("responses", {}).pop("422", None)
            if not path.startswith("/health/"):
                method["security"] = [{"key": []}]
    return schema
