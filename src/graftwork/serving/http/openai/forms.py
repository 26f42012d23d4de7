"""Answers in the forms of chats and of completions: whole, and as the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from pydantic import BaseModel

from graftwork.serving.http.answering import Answers, Spoken
from graftwork.serving.http.openai.told import (
    CachedTokens,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatLogprobs,
    ChatMessage,
    ChunkChoice,
    Completion,
    Delta,
    LikelyToken,
    Origin,
    SaidToken,
    TextChoice,
    TextLogprobs,
    Usage,
)
from graftwork.serving.http.text.characters import TokenTexts
from graftwork.serving.http.text.telling import End, Placed


class Form(Protocol):
    """How one kind of request is answered."""

    def whole(self, spoken: Sequence[Spoken]) -> BaseModel:
        """Everything at once, from all that was spoken."""

    def chunks(self, spoken: Spoken) -> Iterator[BaseModel]:
        """More of an answer, as it comes."""

    def usage_chunk(self) -> BaseModel:
        """The last chunk of a stream that tells its usage."""


class Said:
    """What both forms have.

    Args:
        created: seconds since 1970.
        tells_usage: whether each chunk has a place for it.
    """

    PREFIX = ""

    def __init__(self, answers: Answers, created: int, *, tells_usage: bool) -> None:
        self.answers, self.texts = answers, answers.parts.speech.texts
        self.has_logprobs = answers.question.sampling.logprobs is not None
        asking = answers.question.asking
        self.fields = {
            "id": f"{self.PREFIX}-{asking.id.removeprefix('req_')}",
            "created": created,
            "model": asking.model,
            "system_fingerprint": f"fp_{answers.served.content[:16]}",
        }
        self.in_chunks = {**self.fields, **({"usage": None} if tells_usage else {})}

    @property
    def usage(self) -> Usage:
        """How many tokens there were; those of a prompt count once, however many answers it has."""
        question, choices = self.answers.question, self.answers.choices
        prompt = sum(map(len, question.prompts_P_T))
        said = sum(len(choice.tokens_T) for choice in choices)
        cached = sum(choice.cached_tokens for choice in choices[:: question.n])
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=said,
            total_tokens=prompt + said,
            prompt_tokens_details=CachedTokens(cached_tokens=cached),
        )

    @property
    def origin(self) -> Origin:
        """Where the answers come from."""
        question, served = self.answers.question, self.answers.served
        return Origin(
            request=question.asking.id, version=served.version, content=served.content, seed=question.sampling.seed
        )

    def by_choice(self, spoken: Sequence[Spoken]) -> Iterator[tuple[int, str, list[Placed], End]]:
        """Each answer's number, text, tokens and end."""
        for index in range(len(self.answers.choices)):
            own = [one for one in spoken if one.index == index]
            (end,) = [one.end for one in own if one.end]
            yield index, "".join(one.text for one in own), [token for one in own for token in one.tokens], end


class ChatForm(Said):
    """`chat.completion`."""

    PREFIX = "chatcmpl"

    def __init__(self, answers: Answers, created: int, *, tells_usage: bool) -> None:
        super().__init__(answers, created, tells_usage=tells_usage)
        self._begun: set[int] = set()

    def whole(self, spoken: Sequence[Spoken]) -> BaseModel:
        """As `Form.whole`."""
        choices = [
            ChatChoice(
                index=index,
                message=ChatMessage(role="assistant", content=text, refusal=None),
                logprobs=self._logprobs(tokens),
                finish_reason=end,
            )
            for index, text, tokens, end in self.by_choice(spoken)
        ]
        return ChatCompletion(
            **self.fields, object="chat.completion", choices=choices, usage=self.usage, graftwork=self.origin
        )

    def chunks(self, spoken: Spoken) -> Iterator[BaseModel]:
        """As `Form.chunks`."""
        if spoken.index not in self._begun:
            self._begun.add(spoken.index)
            yield self._chunk(spoken.index, Delta(role="assistant", content=""))
        if spoken.text or spoken.tokens:
            yield self._chunk(spoken.index, Delta(content=spoken.text), self._logprobs(spoken.tokens))
        if spoken.end:
            yield self._chunk(spoken.index, Delta(), end=spoken.end)

    def usage_chunk(self) -> BaseModel:
        """As `Form.usage_chunk`."""
        return ChatChunk(**{**self.in_chunks, "usage": self.usage}, object="chat.completion.chunk", choices=[])

    def _chunk(
        self, index: int, delta: Delta, logprobs: ChatLogprobs | None = None, end: End | None = None
    ) -> ChatChunk:
        choice = ChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=end)
        last = {"graftwork": self.origin} if end else {}
        return ChatChunk(**self.in_chunks, object="chat.completion.chunk", choices=[choice], **last)

    def _logprobs(self, tokens: Sequence[Placed]) -> ChatLogprobs | None:
        if not self.has_logprobs:
            return None
        return ChatLogprobs(content=[_said_token(self.texts, token) for token in tokens], refusal=None)


class TextForm(Said):
    """`text_completion`."""

    PREFIX = "cmpl"

    def whole(self, spoken: Sequence[Spoken]) -> BaseModel:
        """As `Form.whole`."""
        choices = [
            TextChoice(index=index, text=text, logprobs=self._logprobs(tokens), finish_reason=end)
            for index, text, tokens, end in self.by_choice(spoken)
        ]
        return Completion(
            **self.fields, object="text_completion", choices=choices, usage=self.usage, graftwork=self.origin
        )

    def chunks(self, spoken: Spoken) -> Iterator[BaseModel]:
        """As `Form.chunks`."""
        if spoken.text or spoken.tokens or spoken.end:
            choice = TextChoice(
                index=spoken.index,
                text=spoken.text,
                logprobs=self._logprobs(spoken.tokens),
                finish_reason=spoken.end,
            )
            last = {"graftwork": self.origin} if spoken.end else {}
            yield Completion(**self.in_chunks, object="text_completion", choices=[choice], **last)

    def usage_chunk(self) -> BaseModel:
        """As `Form.usage_chunk`."""
        return Completion(**{**self.in_chunks, "usage": self.usage}, object="text_completion", choices=[])

    def _logprobs(self, tokens: Sequence[Placed]) -> TextLogprobs | None:
        if not self.has_logprobs:
            return None
        return TextLogprobs(
            tokens=[self.texts.label(token.said.token) for token in tokens],
            token_logprobs=[_of(token) for token in tokens],
            top_logprobs=[
                {self.texts.label(likely): logprob for likely, logprob in reversed(token.said.likely)}
                for token in tokens
            ],
            text_offset=[token.begin for token in tokens],
        )


def _said_token(texts: TokenTexts, token: Placed) -> SaidToken:
    likely = [_likely(texts, one, logprob) for one, logprob in token.said.likely]
    return SaidToken(**_likely(texts, token.said.token, _of(token)).model_dump(), top_logprobs=likely)


def _likely(texts: TokenTexts, token: int, logprob: float) -> LikelyToken:
    return LikelyToken(token=texts.label(token), logprob=logprob, bytes=list(texts.bytes_of(token)))


def _of(token: Placed) -> float:
    """OpenAI's lowest number stands for what has no chance at all, which JSON has no word for."""
    logprob = token.said.logprob
    return -9999.0 if logprob is None else max(logprob, -9999.0)
