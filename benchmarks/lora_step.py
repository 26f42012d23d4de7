"""One LoRA training step: ours against PEFT's on the same base, alternating in one run.

    .venv/bin/python benchmarks/lora_step.py [--steps 6] [--rank 8] [--rows 8] [--tokens 96]

Both train all linear layers of the bundled base in bfloat16 with float32 adapters, on the same random tokens, the loss
over the same last quarter of each row. PEFT computes logits at every position, as `model(..., labels=...)` does; ours
where there is a target. Writes benchmarks/results/lora_step_<machine>.json.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.base.head import nats
from graftwork.base.load import load_base
from graftwork.core.spec import parse

BASE = "bundled:smollm2-135m-instruct"
RESULTS = Path(__file__).parent / "results"


def ours(rank: int, tokens_BT: torch.Tensor, is_target_BT: torch.Tensor) -> Callable[[], float]:
    """A step of this package."""
    base = load_base(BASE)
    bank = AdapterBank(base)
    handle = bank.fresh(parse(LoraSpec, {"rank": rank}), seed=0)
    params = [tensor.requires_grad_() for _, tensor in bank[handle].tensors()]
    optimizer, split = torch.optim.AdamW(params, lr=1e-4, fused=True), base.halves

    def step() -> float:
        with bank.route([handle] * len(tokens_BT), training=True):
            loss = nats(split, tokens_BT, is_target_BT) / is_target_BT.sum()
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def peft(rank: int, tokens_BT: torch.Tensor, is_target_BT: torch.Tensor) -> Callable[[], float]:
    """The same step with PEFT."""
    config = LoraConfig(r=rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_base(BASE).model, config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    labels_BT = tokens_BT.masked_fill(~is_target_BT, -100)

    def step() -> float:
        loss = model(input_ids=tokens_BT, labels=labels_BT, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("steps", 6), ("rank", 8), ("rows", 8), ("tokens", 96)):
        parser.add_argument(f"--{name}", type=int, default=default)
    told = parser.parse_args()
    torch.manual_seed(0)
    tokens_BT = torch.randint(0, 49_000, (told.rows, told.tokens))
    is_target_BT = torch.zeros_like(tokens_BT, dtype=torch.bool)
    is_target_BT[:, -told.tokens // 4 :] = True
    steps = {"ours": ours(told.rank, tokens_BT, is_target_BT), "peft": peft(told.rank, tokens_BT, is_target_BT)}
    for step in steps.values():
        step()  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(told.steps):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    ratios = [theirs / own for own, theirs in zip(seconds["ours"], seconds["peft"], strict=True)]
    result = {
        "question": "how many times faster than PEFT's is one LoRA training step?",
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "seconds": seconds,
        "asked": vars(told),
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"lora_step_{platform.machine()}_{torch.get_num_threads()}cpu.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, n={told.steps}"
    print(f"ours is {result['ratio_median']:.2f} x as fast ({spread}); {path.name}")


if __name__ == "__main__":
    main()
