"""What is asked of vLLM as an engine."""

from typing import Literal, Self

from pydantic import Field, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec
from graftwork.serving.sizes import Bytes


class VllmSpec(Spec):
    """vLLM as the engine, in a process of its own."""

    kind: Literal["vllm"]
    """Which engine this is."""

    kv_memory: Bytes = 2**30
    """Bytes for keys and values of requests, taken at the start."""

    max_running: int = Field(default=64, ge=1, le=4096)
    """Most answers that are computed at once."""

    max_waiting: int = Field(default=1024, ge=1)
    """Most answers that wait for a place; who comes then is told to come again."""

    context_tokens: int | None = Field(default=None, ge=2)
    """Most tokens of a prompt and its answer; what the base reads when null."""

    adapters: int = Field(default=32, ge=1, le=4096)
    """Most versions in memory at once."""

    adapters_a_step: int = Field(default=4, ge=1, le=256)
    """Most versions that answer in one step; vLLM takes room for so many of `max_rank` at the start."""

    max_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = 64
    """Highest rank of an adapter; every one takes the room of this rank while it answers."""

    is_compiled: bool = False
    """Whether the base is compiled at the start: answers come faster on a GPU, and the start takes minutes."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.adapters_a_step > self.adapters:
            expected = f"at most adapters, {self.adapters}"
            raise SpecError([Problem("adapters_a_step", self.adapters_a_step, expected)])
        return self
