"""Tokens a second of the engine on the bundled base, and of what else could answer the same requests; in turns.

    .venv/bin/python benchmarks/serving.py [--rounds 5] [--new 64] [--vllm-python /path/to/python]

Every turn answers the same 16 prompts of 20 to 120 tokens with 64 tokens each: greedily, ends ignored, all at once.

| who | what |
|---|---|
| base | this engine, none with an adapter |
| adapters | this engine, 16 different LoRA (rank 8, all linear layers) |
| peft | PEFT's `generate` with `adapter_names`, the same adapters, prompts padded |
| transformers | `generate_batch`, continuous batching of transformers, base alone: it knows no adapters |
| vllm | vLLM's CPU build with the same adapters, in an environment of its own; only with --vllm-python |

On a machine with other work seconds of the processor say more than the clock; vLLM's are not in them: it is a process
of its own.

Writes benchmarks/results/serving_<machine>.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.files import write_adapter
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import Base, load_base
from graftwork.base.threads import give_back
from graftwork.serving.asked import Ask, Sampling, Served, Update
from graftwork.serving.engine.engine import BatchEngine, EngineLimits

BASE, NUM = "bundled:smollm2-135m-instruct", 16
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds on the clock, and of the processor in this process."""

    clock: float
    processor: float


Action = Callable[[], Taken]
"""Answers everything once; what it took."""


def begun() -> Callable[[], Taken]:
    """Begin to measure; what it gives says how much it was."""
    clock, processor = time.perf_counter(), time.process_time()
    return lambda: Taken(time.perf_counter() - clock, time.process_time() - processor)


def prompts_of(base: Base) -> list[list[int]]:
    """Of 20 to 120 tokens."""
    words = "A customer asks about the parcel that was to come on Monday and was not seen since."
    texts = [" ".join((words.split() * 9)[: 3 + 5 * number]) for number in range(NUM)]
    return [base.chat.prompt([{"role": "system", "content": "Answer."}, {"role": "user", "content": t}]) for t in texts]


def adapters_in(bank: AdapterBank, folder: Path) -> list[Handle]:
    """16 adapters that do something, in the bank and as PEFT folders."""
    handles = []
    for number in range(NUM):
        handle = bank.fresh(parse_adapter_spec({"method": "lora", "rank": 8}), seed=number, name=f"a{number}")
        draw = torch.Generator().manual_seed(number)
        for _, tensor in bank[handle].trained():
            tensor.normal_(std=0.02, generator=draw)
        write_adapter(folder / f"a{number}", bank[handle], bank.host, {})
        handles.append(handle)
    return handles


def ours(engine: BatchEngine, prompts: list[list[int]], rows: list[Handle | None], num_new: int) -> Taken:
    """All at once; the engine's kept beginnings are of other contents each time."""
    ended: list[Future[Update]] = [Future() for _ in prompts]
    taken, began = begun(), time.perf_counter()
    for number, (prompt, row, end) in enumerate(zip(prompts, rows, ended, strict=True)):
        content = f"{began}-{number}"
        ask = Ask(
            id=content,
            tenant="default",
            served=Served(name="one", version=None, content=content, row=row),
            prompt_T=tuple(prompt),
            sampling=Sampling(max_new_tokens=num_new, temperature=0.0),
            stop_ids=frozenset(),
        )
        engine.submit(ask, lambda update, end=end: end.set_result(update) if update.finish else None)
    if wrong := [found for end in ended if (found := end.result()).finish != "length"]:
        raise SystemExit(f"a request ended otherwise: {wrong[0]}")
    return taken()


def of_peft(base: Base, folder: Path, prompts: list[list[int]], num_new: int) -> Action:
    """PEFT's generate, in bfloat16 throughout, as fast as its documents show it."""
    model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, folder / "a0", adapter_name="a0", autocast_adapter_dtype=False)
    for number in range(1, NUM):
        model.load_adapter(folder / f"a{number}", adapter_name=f"a{number}", autocast_adapter_dtype=False)
    model = model.to(torch.bfloat16).eval()
    longest = max(map(len, prompts))
    tokens = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    names = [f"a{number}" for number in range(NUM)]

    def answer() -> Taken:
        taken = begun()
        with torch.no_grad():
            model.generate(
                input_ids=tokens,
                attention_mask=mask,
                adapter_names=names,
                max_new_tokens=num_new,
                min_new_tokens=num_new,
                do_sample=False,
                pad_token_id=0,
            )
        return taken()

    return answer


def of_transformers(base: Base, prompts: list[list[int]], num_new: int) -> Action:
    """Continuous batching of transformers, from the first request put in to the last answer."""
    model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.bfloat16, attn_implementation="sdpa")
    asked = GenerationConfig(max_new_tokens=num_new, do_sample=False, eos_token_id=-1, pad_token_id=0)
    room = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=256)

    def answer() -> Taken:
        manager = model.continuous_batching_context_manager(
            generation_config=asked, continuous_batching_config=room, block=True, timeout=5
        )
        with manager as running:  # started anew each turn, and not counted: left running it would disturb the others
            taken, num_ended = begun(), 0
            running.add_requests(inputs=prompts, max_new_tokens=num_new)
            while num_ended < len(prompts):
                found = running.get_result(timeout=60)
                if found is None:
                    raise SystemExit("transformers did not answer")
                num_ended += found.is_finished()
            return taken()

    return answer


def of_vllm(python: str, base: Base, folder: Path, prompts: list[list[int]], num_new: int) -> Action:
    """A process that answers a turn for each line that it is told."""
    child = Path(__file__).with_name("serving_vllm.py")
    told = {"model": str(base.folder), "adapters": str(folder), "prompts": prompts, "new": num_new}
    task = folder / "vllm.json"
    task.write_text(json.dumps(told))
    both = {**os.environ, "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}  # else it leaves one core to whoever asks
    process = subprocess.Popen(
        [python, str(child), str(task)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=both
    )

    def answer() -> Taken:
        assert process.stdin
        assert process.stdout
        taken = begun()
        process.stdin.write("turn\n")
        process.stdin.flush()
        while (line := process.stdout.readline()) and line.strip() != "done":
            pass
        if not line:
            raise SystemExit("vLLM ended")
        return taken()

    return answer


def turns(actions: dict[str, Action], rounds: int) -> dict[str, list[Taken]]:
    """Seconds of each, one after another, round by round, after one round that does not count."""
    seconds: dict[str, list[Taken]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            give_back()  # of this thread: with them OpenMP puts those to sleep that others have in theirs
            taken = action()
            if number:
                seconds[name].append(taken)
    return seconds


def ratios(seconds: dict[str, list[Taken]], num_tokens: int) -> dict[str, Any]:
    """Tokens a second of each, and how many times as many `adapters` says as each, by round."""
    found: dict[str, Any] = {}
    for name, taken in seconds.items():
        pairs = list(zip(taken, seconds["adapters"], strict=True))
        found[name] = {
            "tokens_per_second": num_tokens / statistics.median(one.clock for one in taken),
            "adapters_by_this": spread([other.clock / own.clock for other, own in pairs]),
            "processor_seconds": statistics.median(one.processor for one in taken),
            "adapters_by_this_on_the_processor": spread([other.processor / own.processor for other, own in pairs]),
        }
    return found


def spread(ratios: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--vllm-python")
    parser.add_argument("--only", nargs="*", default=["base", "adapters", "peft", "transformers"])
    asked = parser.parse_args()
    base = load_base(BASE)
    bank = AdapterBank(base)
    prompts = prompts_of(base)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        handles = adapters_in(bank, folder)
        engine = BatchEngine(bank, EngineLimits(cache_bytes=1 << 29))
        makers: dict[str, Callable[[], Action]] = {
            "base": lambda: lambda: ours(engine, prompts, [None] * NUM, asked.new),
            "adapters": lambda: lambda: ours(engine, prompts, list(handles), asked.new),
            "peft": lambda: of_peft(base, folder, prompts, asked.new),
            "transformers": lambda: of_transformers(base, prompts, asked.new),
        }
        actions = {name: make() for name, make in makers.items() if name in asked.only}
        if asked.vllm_python:
            actions["vllm"] = of_vllm(asked.vllm_python, base, folder, prompts, asked.new)
        found = ratios(turns(actions, asked.rounds), NUM * asked.new)
        engine.close()
    versions = {package: version(package) for package in ("torch", "transformers", "peft")}
    result = {"rounds": asked.rounds, "new_tokens": asked.new, "threads": torch.get_num_threads(), **found}
    path = RESULTS / f"serving_{platform.machine()}.json"
    path.write_text(json.dumps({**result, "versions": versions}, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
