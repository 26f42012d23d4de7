"""How a server serves, as a strict spec that a settings file fills: address, base, engine, models, limits, log."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import OFF, Spec, by_form
from graftwork.serving.models.spec import ModelsSpec
from graftwork.serving.operations.spec import LogsSpec, RatesSpec, ReceiptsSpec
from graftwork.serving.sizes import Bytes
from graftwork.serving.vllm.spec import VllmSpec


class LimitsSpec(Spec):
    """The most that one request may be."""

    body: Bytes = 4 * 2**20
    """Bytes of a request's body."""

    headers: Bytes = 32 * 2**10
    """Bytes of a request's headers."""

    choices: int = Field(default=16, ge=1, le=256)
    """Answers that one request may ask for: its prompts times n."""

    new_tokens: int = Field(default=1024, ge=1)
    """Tokens of an answer whose request does not say how many; fewer where the base's context has less room."""

    most_new_tokens: int = Field(default=4096, ge=1)
    """Most tokens of an answer that a request may ask for."""

    unread: int = Field(default=1024, ge=1)
    """Updates of a stream that may wait for its reader; it is ended when there are more."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.new_tokens > self.most_new_tokens:
            expected = f"at most most_new_tokens, {self.most_new_tokens}"
            raise SpecError([Problem("new_tokens", self.new_tokens, expected)])
        return self


class TimesSpec(Spec):
    """Seconds that things may take."""

    request_s: float = Field(default=600.0, gt=0)
    """A whole request, from its first byte to its answer's last."""

    headers_s: float = Field(default=10.0, gt=0)
    """The headers of a request."""

    body_s: float = Field(default=30.0, gt=0)
    """The body of a request."""

    stalled_s: float = Field(default=20.0, gt=0)
    """A reader that takes nothing of its answer; its connection is ended."""

    heartbeat_s: float = Field(default=15.0, gt=0)
    """A stream without news gets a comment, so that nobody on the way takes it for dead."""

    idle_s: float = Field(default=30.0, gt=0)
    """A connection without a request."""

    drain_s: float = Field(default=30.0, ge=0)
    """Answers under way when the server is asked to end; what is left is cancelled then."""

    key_s: float = Field(default=5.0, ge=0)
    """A key that was verified is taken without another look: a revoked one may work so long."""


class EngineSpec(Spec):
    """Our own engine, and how much of the machine it may use."""

    kind: Literal["graftwork"] = "graftwork"
    """Which engine this is."""

    kv_memory: Bytes = 2**30
    """Bytes for keys and values of requests, taken at the start."""

    max_running: int = Field(default=64, ge=1, le=4096)
    """Most answers that are computed at once."""

    max_waiting: int = Field(default=1024, ge=1)
    """Most answers that wait for a place; who comes then is told to come again."""

    read_tokens: int = Field(default=256, ge=1)
    """About so many tokens of prompts are read in a step: more of them answer sooner, and hold up those under way."""

    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads that compute; as many as there are cores when null."""

    packs_weights: bool = True
    """Bases in bfloat16 on a CPU answer a third faster from a copy of their weights, which takes their memory again."""


def _kind(raw: object) -> str:
    """Which engine settings are of: of our own where they do not say."""
    return str(raw.get("kind", "graftwork") if isinstance(raw, Mapping) else getattr(raw, "kind", "graftwork"))


def _named(raw: object) -> object:
    return {"kind": raw} if isinstance(raw, str) else raw


Engines = Annotated[
    Annotated[EngineSpec, Tag("graftwork")] | Annotated[VllmSpec, Tag("vllm")],
    Discriminator(_kind),
    BeforeValidator(_named),
]
"""An engine by its name, or with its settings."""


def _refuse_bad_port(port: int) -> int:
    if not 0 <= port <= 65_535:
        raise SpecError([Problem("", port, "0 to 65535", "0 takes any free one.")])
    return port


class ServeSpec(Spec):
    """How a server serves."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address that it listens at; 0.0.0.0 for all of this machine."""

    port: Annotated[int, AfterValidator(_refuse_bad_port)] = 8000
    """The port; 0 takes any free one."""

    base: str = Field(default="bundled:smollm2-135m-instruct", min_length=1)
    """The base: bundled:NAME, a folder, or a Hugging Face id with @revision."""

    dtype: Literal["bfloat16", "float32", "float16", "float64"] = "bfloat16"
    """How its numbers are kept."""

    engine: Engines = EngineSpec()
    """What computes answers: graftwork, vllm, or the settings of one, of graftwork where none is named."""

    models: ModelsSpec = ModelsSpec()
    """How adapters of a registry come into memory and stay there."""

    limits: LimitsSpec = LimitsSpec()
    """The most that one request may be."""

    times: TimesSpec = TimesSpec()
    """Seconds that things may take."""

    rates: RatesSpec = RatesSpec()
    """Requests and tokens a minute."""

    guard: str | None = Field(default=None, min_length=1)
    """A file with rules on what may be asked and told."""

    logs: LogsSpec = LogsSpec()
    """What is logged."""

    receipts: Annotated[Annotated[ReceiptsSpec, Tag("a mapping")] | OFF, by_form] = ReceiptsSpec()
    """Signed receipts of answers; off for none."""
