"""vLLM's part of benchmarks/serving.py, in an environment of its own: one turn a line on standard input."""

import json
import sys
from pathlib import Path

from vllm import LLM, SamplingParams, TokensPrompt  # type: ignore[import-not-found]
from vllm.lora.request import LoRARequest  # type: ignore[import-not-found]


def main() -> None:
    task = json.loads(Path(sys.argv[1]).read_text())
    num = len(task["prompts"])
    model = LLM(
        task["model"],
        dtype="bfloat16",
        enable_lora=True,
        max_loras=num,
        max_lora_rank=8,
        max_model_len=512,
        enable_prefix_caching=False,
        kv_cache_memory_bytes=2**29,
    )
    asked = SamplingParams(temperature=0, max_tokens=task["new"], min_tokens=task["new"], ignore_eos=True)
    prompts = [TokensPrompt(prompt_token_ids=prompt) for prompt in task["prompts"]]
    adapters = [LoRARequest(f"a{n}", n + 1, str(Path(task["adapters"]) / f"a{n}")) for n in range(num)]
    for _ in sys.stdin:
        found = model.generate(prompts, asked, lora_request=adapters, use_tqdm=False)
        assert all(len(one.outputs[0].token_ids) == task["new"] for one in found)
        print("done", flush=True)


if __name__ == "__main__":
    main()
