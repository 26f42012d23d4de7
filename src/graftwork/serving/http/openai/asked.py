"""What OpenAI's clients ask, as strict specs.

A field that would change an answer and is not done here takes null alone, or the one value that changes nothing; so it
is refused by its name. Null is as good as leaving a field out.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec

MOST_STOPS = 4
MOST_SEED = 2**63 - 1
MODEL_CHARS = 300


def _form(value: Any) -> str:
    return "text" if isinstance(value, str) else "list"


def _prompt_form(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, list):
        return "token lists"
    return "tokens" if isinstance(first, int) and not isinstance(first, bool) else "texts"


Word = Annotated[str, Field(min_length=1, max_length=1000)]
Tokens = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Prompt = Annotated[
    Annotated[str, Field(min_length=1), Tag("text")]
    | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), Tag("texts")]
    | Annotated[Tokens, Tag("tokens")]
    | Annotated[tuple[Tokens, ...], Field(min_length=1), Tag("token lists")],
    Discriminator(_prompt_form),
]
Stop = Annotated[
    Annotated[Word, Tag("text")] | Annotated[tuple[Word, ...], Field(max_length=MOST_STOPS), Tag("list")],
    Discriminator(_form),
]


class StreamOptions(Spec):
    """How to stream."""

    include_usage: bool | None = None
    """Whether a last chunk tells how many tokens there were."""

    include_obfuscation: Literal[False] | None = None
    """Padding of chunks is not done here."""


class Asked(Spec):
    """What both kinds of request have."""

    model: str = Field(min_length=1, max_length=MODEL_CHARS)
    """The name that is to answer, as in GET /v1/models."""

    stream: bool | None = None
    """Whether the answer comes in pieces."""

    stream_options: StreamOptions | None = None
    """Only with stream."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 takes the most likely token; 1 by default."""

    top_p: float | None = Field(default=None, ge=0, le=1)
    """Only the most likely tokens that have this share together."""

    top_k: int | None = Field(default=None, ge=1)
    """Only so many of the most likely tokens. Not in OpenAI's API."""

    n: int | None = Field(default=None, ge=1)
    """Answers; the second's seed is the first's plus one, and so on."""

    stop: Stop | None = None
    """Text at which an answer ends, up to four; it is not told."""

    seed: int | None = Field(default=None, ge=0, le=MOST_SEED - 1024)
    """What chance is drawn from; the same seed gives the same answer. One is drawn and told when there is none."""

    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Taken off a token for each time that it was said."""

    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Taken off a token that was said."""

    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(default=None, max_length=1024)
    """Added to tokens, by number."""

    user: str | None = None
    """Changes nothing here."""

    safety_identifier: str | None = None
    """Changes nothing here."""

    prompt_cache_key: str | None = None
    """Changes nothing here: beginnings of prompts are kept without it."""

    metadata: dict[str, str] | None = None
    """Changes nothing here."""

    store: Literal[False] | None = None
    """Answers are not stored."""

    service_tier: Literal["auto", "default"] | None = None
    """There is one."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = self._problems()
        if problems:
            raise SpecError(problems)
        return self

    def _problems(self) -> list[Problem]:
        if self.stream_options is not None and not self.stream:
            return [Problem("stream_options", "given", "null without stream: true")]
        return []

    @property
    def most_tokens(self) -> tuple[str, int | None]:
        """The field that says how long an answer may be, and what it says."""
        return "max_tokens", self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """Its stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else self.stop or ()

    @property
    def tells_usage(self) -> bool:
        """Whether the stream ends with how many tokens there were."""
        return bool(self.stream_options and self.stream_options.include_usage)


class Part(Spec):
    """A part of a message."""

    type: Literal["text"]
    """Text alone is understood here: no images, sounds or files."""

    text: str
    """What it says."""


class Message(Spec):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    """Who speaks; developer is another word for system."""

    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[tuple[Part, ...], Field(min_length=1), Tag("list")],
        Discriminator(_form),
    ]
    """What they say: text, or parts of text, which are put together."""

    tool_call_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """The call that a tool answers; the template sees the order of turns alone."""

    name: None = None
    """Names of speakers are not told to the model here: leave it out."""

    tool_calls: tuple[()] | None = None
    """Calls are not parsed here: give them as the content that the model said."""

    function_call: None = None
    """Not done here: leave it out."""

    refusal: None = None
    """Not done here: leave it out."""

    audio: None = None
    """Not done here: leave it out."""

    annotations: tuple[()] | None = None
    """Not done here: leave it out."""

    @property
    def text(self) -> str:
        """What they say, as one text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class Function(Spec):
    """What a tool does."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """What the model calls it."""

    description: str | None = None
    """What it is for."""

    parameters: dict[str, Any] | None = None
    """A JSON schema."""

    strict: Literal[False] | None = None
    """What the model says is not held against the schema."""


class Tool(Spec):
    """What the model may call; its calls come as the text that it says."""

    type: Literal["function"]
    """Functions alone."""

    function: Function
    """The function."""


class ResponseFormat(Spec):
    """The form of an answer."""

    type: Literal["text"]
    """Text alone: answers are not held to JSON or a schema here."""


class ChatRequest(Asked):
    """A conversation that is to be continued."""

    messages: tuple[Message, ...] = Field(min_length=1)
    """Its turns."""

    max_completion_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer; the newer name of max_tokens."""

    logprobs: bool | None = None
    """Whether the logarithm of each token's probability is told."""

    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """So many of the most likely tokens beside each; only with logprobs."""

    tools: tuple[Tool, ...] | None = Field(default=None, max_length=128)
    """What the model may call, where the base's template writes it."""

    tool_choice: Literal["auto", "none"] | None = None
    """none leaves the tools out; a call cannot be forced here."""

    parallel_tool_calls: bool | None = None
    """Changes nothing here: calls are not parsed."""

    response_format: ResponseFormat | None = None
    """Text alone."""

    modalities: tuple[Literal["text"], ...] | None = None
    """Text alone."""

    audio: None = None
    """Not done here: leave it out."""

    prediction: None = None
    """Not done here: leave it out."""

    reasoning_effort: Literal["none"] | None = None
    """Not done here: leave it out."""

    verbosity: None = None
    """Not done here: leave it out."""

    web_search_options: None = None
    """Not done here: leave it out."""

    functions: None = None
    """Not done here: use tools."""

    function_call: None = None
    """Not done here: use tool_choice."""

    def _problems(self) -> list[Problem]:
        problems = super()._problems()
        two = (self.max_tokens, self.max_completion_tokens)
        if None not in two and two[0] != two[1]:
            hint = "max_tokens is its older name: give one of them."
            problems.append(Problem("max_completion_tokens", two[1], f"as max_tokens, {two[0]}", hint))
        if self.top_logprobs is not None and not self.logprobs:
            problems.append(Problem("top_logprobs", self.top_logprobs, "null without logprobs: true"))
        return problems

    @property
    def most_tokens(self) -> tuple[str, int | None]:
        """As `Asked.most_tokens`."""
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return super().most_tokens


class CompletionRequest(Asked):
    """Text that is to be continued."""

    prompt: Prompt
    """Text, tokens, or a list of either; control tokens written in it count as such."""

    logprobs: int | None = Field(default=None, ge=0, le=5)
    """So many of the most likely tokens beside each one said, and that one's own."""

    suffix: None = None
    """Not done here: leave it out."""

    echo: Literal[False] | None = None
    """Prompts are not told again."""

    best_of: Literal[1] | None = None
    """Answers are not chosen among: use n."""
