"""A request's body: of bounded size, in time, whole JSON in UTF-8, no key twice; then a spec."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from typing import Any, TypeVar

from starlette.requests import Request

from graftwork.core.errors import Problem, SpecError
from graftwork.core.files import each_key_once
from graftwork.core.spec import Spec, parse
from graftwork.serving.http.errors import ApiError
from graftwork.serving.spec import ServeSpec

S = TypeVar("S", bound=Spec)

DEEPEST = 64
MORE_BYTES, MORE_S = 32 * 2**20, 1.0
"""So much of a body that is too long is read and dropped, so that whoever sends it reads why it was refused."""


async def body_as(cls: type[S], request: Request, spec: ServeSpec, *, may_be_empty: bool = False) -> S:
    """The spec in a request's body; the body's SHA-256 stays with the request.

    Raises:
        ApiError: 400, 408, 413 or 415.
        SpecError: all that is wrong with it.
    """
    content = await whole_body(request, spec.limits.body, spec.times.body_s)
    request.state.body = sha256(content).hexdigest()
    if may_be_empty and not content:
        return parse(cls, {})
    _refuse_other_type(request)
    return await asyncio.to_thread(_parsed, cls, content)


async def whole_body(request: Request, limit_bytes: int, within_s: float) -> bytes:
    """A body's bytes.

    Raises:
        ApiError: 413 when there are more, whether it says so first or not; 408 when it comes too slowly.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(within_s):
            if _said_length(request) > limit_bytes:
                raise await _too_long(request, limit_bytes)
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise await _too_long(request, limit_bytes)
                parts.append(chunk)
    except TimeoutError:
        message = f"The body did not come within {within_s:g} s."
        raise ApiError(408, message, code="body_timeout", closes=True) from None
    return b"".join(parts)


def json_of(content: bytes) -> Any:
    """A body's JSON object.

    Raises:
        ApiError: 400; it is not UTF-8, no JSON, holds a key twice or a number that is none, or is nested too deeply.
    """
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=each_key_once, parse_constant=_no_number)
        is_deep = _depth(value) > DEEPEST
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte {error.start} is {content[error.start]:#04x}."
        raise ApiError(400, message, code="invalid_utf8") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {error}.", code="invalid_json") from None
    if is_deep:
        raise ApiError(400, f"The body is nested more than {DEEPEST} levels deep.", code="invalid_json")
    return value


def _parsed(cls: type[S], content: bytes) -> S:
    value = json_of(content)
    if not isinstance(value, dict):
        raise SpecError([Problem("body", value, "a JSON object")])
    return parse(cls, value)


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _depth(value: object) -> int:
    deepest, layer = 0, [value]
    while layer:
        deepest += 1
        layer = [
            inner
            for one in layer
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return deepest


def _said_length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0


async def _too_long(request: Request, limit_bytes: int) -> ApiError:
    dropped = 0
    try:
        async with asyncio.timeout(MORE_S):
            async for chunk in request.stream():
                dropped += len(chunk)
                if dropped > MORE_BYTES:
                    break
    except (TimeoutError, RuntimeError):  # the rest comes too slowly, or another reader has begun with it
        pass
    message = f"The body has more than {limit_bytes} bytes, which is the most that is read here."
    return ApiError(413, message, code="body_too_large", closes=True)


def _refuse_other_type(request: Request) -> None:
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json" or ("charset" in rest.lower() and "utf-8" not in rest.lower()):
        raise ApiError(415, "The body must be JSON in UTF-8: Content-Type: application/json", code="not_json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "The body must not be compressed.", code="compressed")
