"""What adapters cost on the bundled base, and what the same costs with PEFT; alternating in one run.

    .venv/bin/python benchmarks/adapters.py [--only step decode ...] [--rounds 6] [--rank 8]

| question | measured |
|---|---|
| step | forward and backward of one LoRA at all linear layers, through the base's body: PEFT's time by ours |
| activations | bytes that autograd keeps for that backward pass, weights left out: ours by PEFT's |
| decode | one token for 16 rows with 16 adapters: PEFT's `adapter_names` by ours, and the base alone by ours |
| empty | one token for 16 rows, adapters in the bank but none in the batch: the base alone by ours |
| add | seconds to put an adapter into a bank that holds 1,000 |
| held | bytes that the process grows by for one more adapter in the bank, by the bytes of its tensors |
| held_from_folder | the same for adapters read from their folders |
| compiled | `step`, with PEFT's model through `torch.compile`, and the base alone without it for a limit |
| dora | forward and backward of one DoRA by one LoRA's |

Writes benchmarks/results/adapters_<machine>.json.
"""

import argparse
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import DynamicCache

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.files import write_adapter
from graftwork.adapters.form import Memo
from graftwork.adapters.route import Group
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import load_base
from graftwork.core.heap import Heap

BASE = "bundled:smollm2-135m-instruct"
RESULTS = Path(__file__).parent / "results"
ROWS, TOKENS, ADAPTERS = 4, 128, 16

Action = Callable[[], Any]


def alternately(actions: dict[str, Action], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action, one after another, round by round."""
    for action in actions.values():
        action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(seconds: dict[str, list[float]], over: str, under: str) -> dict[str, float]:
    """How many times as long `over` took as `under`: median over rounds, with its spread."""
    found = [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def some_tokens(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, 49_000, (rows, length), generator=torch.Generator().manual_seed(0))


def stirred(tensors: Any) -> None:
    """Every tensor off zero, so that no work is spared."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * 0.01)


def own_step(told: argparse.Namespace, method: str = "lora") -> Action:
    """Forward and backward with an adapter of ours."""
    bank, tokens_1N = AdapterBank(load_base(BASE)), some_tokens(ROWS, TOKENS).reshape(1, -1)
    positions_1N, whole = torch.arange(TOKENS).repeat(ROWS)[None], Group((TOKENS,) * ROWS)
    handle = bank.fresh(parse_adapter_spec({"method": method, "rank": told.rank}), seed=0)
    leaves = [tensor.requires_grad_() for _, tensor in bank[handle].trained()]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        with torch.no_grad():
            leaves[0].mul_(1)  # as an optimizer step does: what was computed from it holds no longer
        with bank.route_groups([(handle, whole)], training=True):  # as the training loop lays records
            bank.base.halves.hidden_BTH(tokens_1N, positions_1N).square().mean().backward()

    return step


def peft_step(told: argparse.Namespace, *, compiled: bool = False) -> Action:
    """The same with PEFT's LoRA."""
    config = LoraConfig(r=told.rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model, tokens_BT = get_peft_model(load_base(BASE).model, config), some_tokens(ROWS, TOKENS)
    leaves = [p for p in model.parameters() if p.requires_grad]
    body = model.base_model.model.model
    if compiled:
        body = torch.compile(body)

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        body(input_ids=tokens_BT, use_cache=False).last_hidden_state.square().mean().backward()

    return step


def step(told: argparse.Namespace) -> dict[str, Any]:
    """Forward and backward, theirs by ours."""
    seconds = alternately({"ours": own_step(told), "peft": peft_step(told)}, told.rounds)
    return {"times_faster": ratio(seconds, "peft", "ours"), "seconds": seconds}


def compiled(told: argparse.Namespace) -> dict[str, Any]:
    """Forward and backward, theirs compiled by ours as it is."""
    began = time.perf_counter()
    theirs = peft_step(told, compiled=True)
    theirs()
    compiling = time.perf_counter() - began
    seconds = alternately({"ours": own_step(told), "peft": theirs}, told.rounds)
    return {"times_faster": ratio(seconds, "peft", "ours"), "seconds_to_compile": compiling, "seconds": seconds}


def dora(told: argparse.Namespace) -> dict[str, Any]:
    """Forward and backward, DoRA's by LoRA's."""
    seconds = alternately({"lora": own_step(told), "dora": own_step(told, "dora")}, told.rounds)
    return {"times_as_long": ratio(seconds, "dora", "lora"), "seconds": seconds}


def kept_bytes(action: Action) -> int:
    """Bytes of the storages that autograd keeps while `action` runs, each once, parameters and buffers left out."""
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)  # so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        action()
    own = {p.untyped_storage().data_ptr() for p in gc.get_objects() if isinstance(p, torch.nn.Parameter)}
    return sum(size for at, size in kept.items() if at not in own)


def activations(told: argparse.Namespace) -> dict[str, Any]:
    """What backward needs, ours by theirs."""
    steps = {"ours": own_step(told), "peft": peft_step(told)}
    for one in steps.values():
        one()
    found = {name: kept_bytes(one) for name, one in steps.items()}
    return {"share": found["ours"] / found["peft"], "bytes": found}


def decoding(model: Any) -> Callable[..., None]:
    """One token for each row of a batch that has read 32, again and again from the same place."""
    with torch.no_grad():
        cache = DynamicCache(config=model.config)
        model(input_ids=some_tokens(ADAPTERS, 32), past_key_values=cache, use_cache=True)
    tokens_B1 = some_tokens(ADAPTERS, 1)

    def one(**extra: Any) -> None:
        model(input_ids=tokens_B1, past_key_values=cache, use_cache=True, **extra)
        cache.crop(-1)

    return one


def decode(told: argparse.Namespace) -> dict[str, Any]:
    """A mixed batch: ours, PEFT's and the base alone."""
    base = load_base(BASE)
    bank = AdapterBank(base)
    spec = parse_adapter_spec({"method": "lora", "rank": told.rank})
    handles = [bank.fresh(spec, seed=seed) for seed in range(ADAPTERS)]
    for handle in handles:
        stirred(t for _, t in bank[handle].tensors())
    bare = load_base(BASE).model
    rival = load_base(BASE).model
    config = LoraConfig(r=told.rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(rival, config, adapter_name="0").eval()
    for number in range(1, ADAPTERS):
        theirs.add_adapter(str(number), config)
    stirred(p for n, p in theirs.named_parameters() if "lora_" in n)
    names = [str(number) for number in range(ADAPTERS)]
    own, alone, peft = decoding(base.model), decoding(bare), decoding(theirs)
    with torch.no_grad(), bank.route(handles):
        seconds = alternately({"ours": own, "base": alone, "peft": lambda: peft(adapter_names=names)}, told.rounds)
    return {
        "times_faster_than_peft": ratio(seconds, "peft", "ours"),
        "share_of_base_speed": ratio(seconds, "base", "ours"),
        "seconds": seconds,
    }


def empty(told: argparse.Namespace) -> dict[str, Any]:
    """Adapters in the bank, none in the batch."""
    base = load_base(BASE)
    bank = AdapterBank(base)
    bank.fresh(parse_adapter_spec({"method": "lora", "rank": told.rank}), seed=0)
    own, alone = decoding(base.model), decoding(load_base(BASE).model)
    with torch.no_grad(), bank.route([None] * ADAPTERS):
        seconds = alternately({"ours": own, "base": alone}, told.rounds)
    return {"share_of_base_speed": ratio(seconds, "base", "ours"), "seconds": seconds}


def copies(bank: AdapterBank, handle: Handle) -> Callable[[], Adapter]:
    """Adapters like the one held, each with tensors of its own."""
    adapter = bank[handle]

    def another() -> Adapter:
        placed = {
            key: replace(here, params={n: t.to(torch.bfloat16) for n, t in here.params.items()}, memo=Memo())
            for key, here in adapter.placed.items()
        }
        return Adapter(spec=adapter.spec, placed=placed)

    return another


def add(told: argparse.Namespace) -> dict[str, Any]:
    """Into a bank with 1,000; of rank 1, so that they fit."""
    bank = AdapterBank(load_base(BASE))
    another = copies(bank, bank.fresh(parse_adapter_spec({"method": "lora", "rank": 1}), seed=0))
    for number in range(1_000 - 1):
        bank.add(another(), name=str(number))
    seconds = []
    for number in range(max(told.rounds, 10)):
        adapter = another()
        began = time.perf_counter()
        handle = bank.add(adapter, name=f"late-{number}")
        seconds.append(time.perf_counter() - began)
        bank.remove(handle)
    return {"seconds_median": statistics.median(seconds), "seconds_max": max(seconds)}


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def held(told: argparse.Namespace) -> dict[str, Any]:
    """What one more adapter costs, in the base's type, over 100 of them."""
    bank = AdapterBank(load_base(BASE))
    another = copies(bank, bank.fresh(parse_adapter_spec({"method": "lora", "rank": told.rank}), seed=0))
    own = [bank.add(another(), name=f"first-{number}") for number in range(5)]
    gc.collect()
    Heap().tidy()
    before = resident_bytes()
    own += [bank.add(another(), name=str(number)) for number in range(100)]
    gc.collect()
    grown, bytes_each = (resident_bytes() - before) / 100, bank[own[-1]].num_bytes
    return {"bytes_grown": grown, "bytes_of_tensors": bytes_each, "share_beyond": grown / bytes_each - 1}


def held_from_folder(told: argparse.Namespace) -> dict[str, Any]:
    """What one more adapter costs that is read from its folder, over 50 of them."""
    bank = AdapterBank(load_base(BASE))
    spec = parse_adapter_spec({"method": "lora", "rank": told.rank})
    with TemporaryDirectory() as folder:
        write_adapter(Path(folder) / "adapter", bank[bank.fresh(spec, seed=0)], bank.host, {})
        for number in range(5):
            bank.load(Path(folder) / "adapter", name=f"first-{number}")
        gc.collect()
        Heap().tidy()
        before = resident_bytes()
        own = [bank.load(Path(folder) / "adapter", name=str(number)) for number in range(50)]
        gc.collect()
        Heap().tidy()
        grown, bytes_each = (resident_bytes() - before) / 50, bank[own[-1]].num_bytes
    return {"bytes_grown": grown, "bytes_of_tensors": bytes_each, "share_beyond": grown / bytes_each - 1}


QUESTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "step": step,
    "activations": activations,
    "decode": decode,
    "empty": empty,
    "add": add,
    "held": held,
    "held_from_folder": held_from_folder,
    "compiled": compiled,
    "dora": dora,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    for name, default in (("rounds", 6), ("rank", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    told = parser.parse_args()
    path = RESULTS / f"adapters_{platform.machine()}_{torch.get_num_threads()}cpu.json"
    answers = json.loads(path.read_text())["answers"] if path.is_file() else {}
    for name in told.only:
        answers[name] = QUESTIONS[name](told)
        gc.collect()
        print(name, {key: value for key, value in answers[name].items() if key != "seconds"}, flush=True)
    result = {
        "question": "what do adapters cost, and what does the same cost with PEFT?",
        "answers": answers,
        "asked": {"rank": told.rank, "rows": ROWS, "tokens": TOKENS, "adapters": ADAPTERS},
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
