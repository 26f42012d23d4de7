"""The paths of OpenAI's API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from graftwork.core.errors import NotFoundError, did_you_mean
from graftwork.serving.http.answering import Answers, Question, Spoken, begun, until_gone
from graftwork.serving.http.bodies import body_as
from graftwork.serving.http.errors import ApiError
from graftwork.serving.http.openai.asked import Asked, ChatRequest, CompletionRequest
from graftwork.serving.http.openai.forms import ChatForm, Form, TextForm
from graftwork.serving.http.openai.planned import of_chat, of_completion
from graftwork.serving.http.openai.told import ChatChunk, ChatCompletion, Completion, Model, ModelList
from graftwork.serving.http.parts import Parts, holder, parts_of
from graftwork.serving.http.schema import asks, refusals, streams
from graftwork.serving.http.stream import EventStream
from graftwork.serving.models.listing import Listed

router = APIRouter(prefix="/v1", tags=["openai"])
RECEIPT = "x-graftwork-receipt"


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={**streams(ChatChunk), **refusals(404, 408, 413, 415, 429, 503)},
    openapi_extra=asks(ChatRequest),
)
async def chat_completions(request: Request) -> Response:
    """Continue a conversation."""
    parts, who = parts_of(request), holder(request, "read")
    asked = await body_as(ChatRequest, request, parts.spec)
    question = await asyncio.to_thread(of_chat, parts, asked, who, request.state.id)
    return await _answered(request, parts, question, asked, ChatForm)


@router.post(
    "/completions",
    response_model=Completion,
    responses={**streams(Completion), **refusals(404, 408, 413, 415, 429, 503)},
    openapi_extra=asks(CompletionRequest),
)
async def completions(request: Request) -> Response:
    """Continue texts."""
    parts, who = parts_of(request), holder(request, "read")
    asked = await body_as(CompletionRequest, request, parts.spec)
    question = await asyncio.to_thread(of_completion, parts, asked, who, request.state.id)
    return await _answered(request, parts, question, asked, TextForm)


@router.get("/models", responses=refusals(503))
async def models(request: Request) -> ModelList:
    """Every name that can be asked for."""
    listed = await parts_of(request).models.listed(holder(request, "read"))
    return ModelList(object="list", data=[_model(one) for one in listed])


@router.get("/models/{model:path}", responses=refusals(404, 503))
async def model(request: Request, model: str) -> Model:
    """One name that can be asked for."""
    listed = {one.name: one for one in await parts_of(request).models.listed(holder(request, "read"))}
    if model not in listed:
        raise unknown_model(model, list(listed))
    return _model(listed[model])


def unknown_model(name: str, known: list[str]) -> ApiError:
    """That there is no such name, with the nearest."""
    said = f"There is no model {name[:200]!r} here. {did_you_mean(name[:200], known)}".strip()
    return ApiError(404, said, code="model_not_found", param="model")


async def _answered(
    request: Request, parts: Parts, question: Question, asked: Asked, form_of: Callable[..., Form]
) -> Response:
    deadline_s = request.state.began_s + parts.spec.times.request_s
    parts.watcher.asked(question.asking, request.state.body, question.stops)
    answers = await _begun(request, parts, question, deadline_s)
    form = form_of(answers, int(parts.clock()), tells_usage=asked.tells_usage)
    if asked.stream:
        return EventStream(answers, form, deadline_s=deadline_s, tells_usage=asked.tells_usage)
    try:
        spoken = await until_gone(request.receive, _all(answers), deadline_s)
    finally:
        answers.close()
    told = form.whole(spoken).model_dump(mode="json", exclude_unset=True)
    return JSONResponse(told, headers=_receipts(parts, answers))


def _receipts(parts: Parts, answers: Answers) -> dict[str, str]:
    """A header with the digest of each answer's receipt."""
    found = [parts.watcher.receipt(choice.ask.id) for choice in answers.choices]
    return {RECEIPT: ", ".join(one for one in found if one)} if any(found) else {}


async def _begun(request: Request, parts: Parts, question: Question, deadline_s: float) -> Answers:
    try:
        return await until_gone(request.receive, begun(parts, question), deadline_s)
    except NotFoundError as error:
        raise ApiError(404, str(error), code="model_not_found", param="model") from error


async def _all(answers: Answers) -> list[Spoken]:
    return [spoken async for spoken in answers.spoken() if spoken is not None]


def _model(one: Listed) -> Model:
    return Model(
        id=one.name,
        object="model",
        created=one.added_us // 1_000_000,
        owned_by="graftwork",
        version=one.version,
        content=one.content,
        stage=one.stage,
        parent=None if one.version is None and one.name == one.base else one.on or one.base,
        is_in_memory=one.is_resident,
        refused=one.refused,
        unproved=one.unproved,
    )
