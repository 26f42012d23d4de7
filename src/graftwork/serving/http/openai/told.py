"""What is told to OpenAI's clients."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from graftwork.serving.http.text.telling import End


class CachedTokens(BaseModel):
    """Of the prompt."""

    cached_tokens: int = Field(description="Tokens whose keys and values were there already.")


class Usage(BaseModel):
    """How many tokens there were."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class Origin(BaseModel):
    """Where an answer comes from. Not in OpenAI's API."""

    request: str = Field(description="The answer's x-request-id.")
    version: str | None = Field(description="Digest of the version that answered; null for the base alone.")
    content: str = Field(description="Digest of what it computes.")
    seed: int = Field(description="What chance was drawn from, for the first answer.")


class LikelyToken(BaseModel):
    """A token and its probability."""

    token: str
    logprob: float = Field(description="Natural logarithm of the probability.")
    bytes: list[int] | None = Field(description="The token in UTF-8, which may be half a character.")


class SaidToken(LikelyToken):
    """A token that was said."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(BaseModel):
    """Probabilities of an answer's tokens."""

    content: list[SaidToken]
    refusal: None = None


class ChatMessage(BaseModel):
    """An answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: End


class ChatCompletion(BaseModel):
    """Answers to a conversation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    graftwork: Origin


class Delta(BaseModel):
    """More of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """More of one answer."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: End | None


class ChatChunk(BaseModel):
    """A piece of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    graftwork: Origin | None = None


class TextLogprobs(BaseModel):
    """Probabilities of a continuation's tokens."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int] = Field(description="Characters of the continuation before each token.")


class TextChoice(BaseModel):
    """One continuation, or more of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: End | None


class Completion(BaseModel):
    """Continuations of prompts, or a piece of their stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage | None = None
    graftwork: Origin | None = None


class Model(BaseModel):
    """A name that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    version: str | None = Field(description="Digest of the version that it means now; null for the base alone.")
    content: str = Field(description="Digest of what the version computes.")
    stage: str = Field(description="Stage of the name; empty where there are none.")
    parent: str | None = Field(description="What it stands on: a base, or an adapter's content; null for a base.")
    is_in_memory: bool = Field(description="Whether the next request for it waits for no load.")
    refused: str = Field(description="Why it is not given out; empty when it is.")
    unproved: str = Field(
        description="Why it answers without proof that it acts as in training; empty when it does not."
    )


class ModelList(BaseModel):
    """Every name that can be asked for."""

    object: Literal["list"] = "list"
    data: list[Model]
