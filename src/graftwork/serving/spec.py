"""How a server serves: address, base, memory, limits, times. A strict spec, read from a settings file."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def bytes_of(value: Any) -> Any:
    """A number of bytes from a number, or from text such as `4 GiB`; what is neither stays as it is.

    >>> bytes_of("1.5 KiB"), bytes_of(7)
    (1536, 7)
    """
    if not isinstance(value, str):
        return value
    number, _, unit = value.strip().rpartition(" ")
    try:
        return int(float(number) * UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        return value


def _with_unit(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]


Bytes = Annotated[int, BeforeValidator(bytes_of), Field(gt=0, json_schema_extra=_with_unit)]
"""A number of bytes, or text such as `4 GiB`."""


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


class LogsSpec(Spec):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""


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

    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads that compute; as many as there are cores when null."""

    adapter_memory: Bytes | None = None
    """Most bytes of adapters in memory, such as 4 GiB; as in ModelsSpec when null."""

    cache: str | None = Field(default=None, min_length=1)
    """A folder of this server alone for adapters from the registry; one for the time it runs when null."""

    kv_memory: Bytes | None = None
    """Bytes for keys and values of requests; the engine's own choice when null."""

    limits: LimitsSpec = LimitsSpec()
    """The most that one request may be."""

    times: TimesSpec = TimesSpec()
    """Seconds that things may take."""

    guard: str | None = Field(default=None, min_length=1)
    """A file with rules on what may be asked and told."""

    logs: LogsSpec = LogsSpec()
    """What is logged."""
