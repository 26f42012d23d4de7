"""Every exception as an answer in OpenAI's form, in this one place. No traceback leaves the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from graftwork.core.errors import (
    CapacityError,
    ConflictError,
    DeniedError,
    GraftworkError,
    IntegrityError,
    NotFoundError,
    OverloadedError,
    SpecError,
)
from graftwork.serving.http.seams import BlockedError, RateLimitedError

LOG = logging.getLogger("graftwork.serving")

RETRY_AFTER_S = 5.0
"""When to ask again where nobody knows better."""


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="In words, with what to do.")
    type: str = Field(description="The kind of error.")
    param: str | None = Field(description="Where in the request it is, such as messages[0].content.")
    code: str | None = Field(description="A word for programs.")


class ErrorBody(BaseModel):
    """An error."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        closes: whether the connection ends with it, because what else the client sends is not read.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = {**(headers or {}), **({"connection": "close"} if closes else {})}
        super().__init__(message)

    @property
    def body(self) -> ErrorBody:
        """It as it is told."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return ErrorBody(error=ErrorDetail(message=self.message, type=kind, param=self.param, code=self.code))

    def response(self) -> JSONResponse:
        """It as an answer."""
        return JSONResponse(self.body.model_dump(), self.status, self.headers)


class ReaderGoneError(Exception):
    """Whoever asked is not there any more, or takes nothing of the answer: there is nobody to tell."""


TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def later(status: int, message: str, after_s: float, *, code: str) -> ApiError:
    """An error that passes: the same request may be made again after so long."""
    return ApiError(status, message, code=code, headers={"retry-after": str(max(1, ceil(after_s)))})


KINDS: tuple[tuple[type[BaseException], int, str], ...] = (
    (BlockedError, 400, "content_filter"),
    (SpecError, 400, "invalid_value"),
    (DeniedError, 403, "permission_denied"),
    (NotFoundError, 404, "not_found"),
    (TimeoutError, 408, "timeout"),
    (ConflictError, 409, "conflict"),
    (RateLimitedError, 429, "rate_limit_exceeded"),
    (OverloadedError, 503, "overloaded"),
    (CapacityError, 503, "no_room"),
    (IntegrityError, 500, "refused_as_not_whole"),
    (GraftworkError, 500, "failed"),
)
"""Status and code of what is raised, the first that fits."""


def error_of(error: BaseException, request_id: str) -> ApiError:
    """What whoever asked is told of an exception; one that nobody expected is logged and told by its number alone."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    status, code = next(((status, code) for kind, status, code in KINDS if isinstance(error, kind)), (500, ""))
    if not code:
        LOG.error("request %s failed", request_id, exc_info=error)
        said = f"Something went wrong here. Give {request_id} to whoever runs this server: their log says what."
        return ApiError(500, said, code="internal_error")
    if status == 500:
        LOG.error("request %s: %s", request_id, error)
    if isinstance(error, CapacityError):
        after_s = error.retry_after_s if isinstance(error, OverloadedError) else RETRY_AFTER_S
        return later(status, str(error), after_s, code=code)
    message = "This took longer than a request may take here." if isinstance(error, TimeoutError) else str(error)
    problems = error.problems if isinstance(error, SpecError) else ()
    return ApiError(status, message, code=code, param=problems[0].path if problems else None)


def _of_http(error: HTTPException) -> ApiError:
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    known = {
        404: "There is nothing at this path. GET /openapi.json says what there is.",
        405: "This path does not take that method. GET /openapi.json says what it takes.",
    }
    message = known.get(error.status_code, str(error.detail))
    return ApiError(error.status_code, message, code=code, headers=error.headers)
