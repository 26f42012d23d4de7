"""vLLM's engine, as it is called: all of its interface that is relied on is in this file, `live` and `sampling`.

Everything here belongs to one thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import IntegrityError, WorkError
from graftwork.serving.vllm.package import load_vllm
from graftwork.serving.vllm.sampling import params_of

if TYPE_CHECKING:
    from graftwork.serving.asked import Ask
    from graftwork.serving.vllm.spec import VllmSpec

URGENT, USUAL = 0, 1
"""vLLM takes the lowest first."""

NOTHING = 2**31 - 1
"""Number of the adapter that changes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What an engine that has begun can take."""

    vocab_size: int
    context_tokens: int
    kv_tokens: int
    page_tokens: int


class Core:
    """vLLM, begun.

    Attributes:
        name: with its version.
        device: kind of what it computes on.
    """

    def __init__(self, folder: Path, spec: VllmSpec, *, dtype: str, nothing: Path) -> None:
        """Begin; this takes from seconds to minutes.

        Args:
            folder: of the base.
            nothing: folder of an adapter that changes nothing; needed until this returns.
        """
        vllm = load_vllm()
        self._params, self._prompt = vllm.SamplingParams, import_module("vllm.inputs").tokens_input
        self._request = import_module("vllm.lora.request").LoRARequest
        self._news = import_module("vllm.sampling_params").RequestOutputKind.DELTA
        self._engine: Any = vllm.LLMEngine.from_engine_args(vllm.EngineArgs(**engine_args(folder, spec, dtype)))
        platform = import_module("vllm.platforms").current_platform
        self.name, self.device = f"vLLM {vllm.__version__}", str(platform.device_type)
        config = self._engine.vllm_config
        page = config.cache_config.block_size
        self.sizes = Sizes(
            vocab_size=config.model_config.get_vocab_size(),
            context_tokens=config.model_config.max_model_len,
            kv_tokens=config.cache_config.num_gpu_blocks * page,
            page_tokens=page,
        )
        # without graphics cards vLLM takes the last adapter in memory for requests of the base that share a step with
        # others (https://github.com/vllm-project/vllm/pull/48421), so there they name one that changes nothing
        self._for_base = self.load("nothing", NOTHING, nothing) if platform.is_cpu() else None

    @property
    def is_alive(self) -> bool:
        """Whether the process that computes is there; one that lies still while nobody asks is noticed too."""
        resources = getattr(self._engine.engine_core, "resources", None)  # None where it was told to be of this process
        return not getattr(resources, "engine_dead", False)

    def add(self, ask: Ask, adapter: Any) -> None:
        """Take a request. What it keeps of the prompt is found again by those of the same content alone."""
        self._engine.add_request(
            ask.id,
            self._prompt(list(ask.prompt_T), cache_salt=ask.served.content),
            self._params(**params_of(ask), output_kind=self._news),
            lora_request=adapter or self._for_base,
            priority=URGENT if ask.is_urgent else USUAL,
        )

    def abort(self, id_: str) -> None:
        """End a request."""
        self._engine.abort_request([id_])

    def step(self) -> list[Any]:
        """What is new; waits for it. Not to be called while no request is under way."""
        found: list[Any] = self._engine.step()
        return found

    def load(self, name: str, number: int, folder: Path) -> Any:
        """Load the adapter in a folder; what requests name it by.

        Raises:
            IntegrityError: vLLM refuses it.
        """
        assert number not in self._engine.list_loras(), "vLLM would take it for the one that it has"
        adapter = self._request(lora_name=name, lora_int_id=number, lora_path=str(folder))
        try:
            is_there = self._engine.add_lora(adapter) and number in self._engine.list_loras()
        except Exception as error:
            raise IntegrityError(f"vLLM refuses it: {_words(error, folder)}") from error
        if not is_there:
            raise IntegrityError("vLLM did not load it, and says no more.")
        return adapter

    def loaded(self) -> frozenset[int]:
        """Numbers of the adapters that it has."""
        return frozenset(self._engine.list_loras()) - {NOTHING}

    def unload(self, number: int) -> None:
        """Let go of an adapter. Raises WorkError when it keeps it."""
        self._engine.remove_lora(number)
        if number in self._engine.list_loras():
            raise WorkError(f"vLLM keeps adapter {number}, which it was told to let go.")

    def close(self) -> None:
        """End its processes."""
        self._engine.engine_core.shutdown()


def engine_args(folder: Path, spec: VllmSpec, dtype: str) -> dict[str, Any]:
    """The arguments of vLLM's `EngineArgs`."""
    return {
        "model": str(folder),
        "skip_tokenizer_init": True,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "generation_config": "vllm",  # its own: what the base's files say of sampling is for nobody here
        "dtype": dtype,
        "max_model_len": spec.context_tokens,
        "max_num_seqs": spec.max_running,
        "kv_cache_memory_bytes": spec.kv_memory,
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",
        "max_logprobs": -1,  # proofs ask for all
        "enable_lora": True,
        "max_loras": spec.adapters_a_step + 1,  # and the one that changes nothing
        "max_cpu_loras": spec.adapters + 1,
        "max_lora_rank": spec.max_rank,
        "enforce_eager": not spec.is_compiled,
        "disable_log_stats": True,
        "seed": 0,
    }


def _words(error: Exception, folder: Path) -> str:
    """A foreign error without our paths; the last line is the matter of those that came from another process."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1].replace(f"{folder.parent}{os.sep}", "")[:500]
