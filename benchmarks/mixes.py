"""Is an answer the same, to the bit, whoever else is in the batch?

    .venv/bin/python benchmarks/mixes.py [--mixes 1000] [--new 8] [--dtype bfloat16] [--threads 1]

48 requests on the bundled base, 16 adapters (LoRA, DoRA, IA3, prefix) and the base itself, prompts of 20 to 200 tokens.
Each is answered alone, greedily, with the log-probabilities of its tokens. Then random mixes of 2 to 24 of them are
asked at once, in random order, some with what is kept of earlier prompts and some without. Tokens and log-probabilities
are compared exactly. Writes benchmarks/results/mixes_<machine>.json.
"""

import argparse
import json
import platform
import random
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch

from graftwork.adapters.bank import AdapterBank, Row
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import load_base
from graftwork.serving.asked import Ask, Said, Sampling, Served, Update
from graftwork.serving.engine.engine import BatchEngine, EngineLimits

BASE, NUM = "bundled:smollm2-135m-instruct", 48
METHODS: tuple[dict[str, Any], ...] = (
    {"method": "lora", "rank": 8},
    {"method": "dora", "rank": 4},
    {"method": "ia3"},
    {"method": "prefix_tuning", "positions": 7},
)
RESULTS = Path(__file__).parent / "results"
Answer = tuple[Said, ...]


def rows_in(bank: AdapterBank) -> list[Row]:
    """16 adapters that do something, and the base."""
    rows: list[Row] = [None]
    for number in range(16):
        handle = bank.fresh(parse_adapter_spec(METHODS[number % len(METHODS)]), seed=number, name=f"a{number}")
        draw = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for _, tensor in bank[handle].trained():
                tensor.add_(torch.randn(tensor.shape, generator=draw) * 0.02)
        rows.append(handle)
    return rows


def asked(bank: AdapterBank, rows: list[Row], num_new: int) -> list[Ask]:
    """The requests."""
    words = "a parcel that was to come on Monday has not been seen and the customer asks where it may be now"
    draw, found = random.Random(0), []
    for number in range(NUM):
        text = " ".join(draw.choices(words.split(), k=draw.randint(3, 150)))
        row = rows[number % len(rows)]
        found.append(
            Ask(
                id=str(number),
                tenant=f"tenant-{number % 3}",
                served=Served(name="one", version=None, content=f"content-{number % len(rows)}", row=row),
                prompt_T=tuple(bank.base.chat.prompt([{"role": "user", "content": text}])),
                sampling=Sampling(max_new_tokens=num_new, temperature=0.0, logprobs=1),
                stop_ids=frozenset(),
            )
        )
    return found


def answers(engine: BatchEngine, asks: list[Ask]) -> list[Answer]:
    """What is said to requests that are asked at once."""
    ended: list[Future[Answer]] = [Future() for _ in asks]
    for ask, end in zip(asks, ended, strict=True):
        said: list[Said] = []

        def told(update: Update, said: list[Said] = said, end: Future[Answer] = end) -> None:
            said.extend(update.said)
            if update.finish:
                end.set_result(tuple(said))

        engine.submit(ask, told)
    return [end.result() for end in ended]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixes", type=int, default=1000)
    parser.add_argument("--new", type=int, default=8)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int)
    told = parser.parse_args()
    bank = AdapterBank(load_base(BASE, dtype=told.dtype))
    asks = asked(bank, rows_in(bank), told.new)
    engine = BatchEngine(bank, EngineLimits(cache_bytes=1 << 29, threads=told.threads))
    alone = [answers(engine, [ask])[0] for ask in asks]
    draw, num_answers, wrong, began = random.Random(1), 0, [], time.perf_counter()
    for mix in range(told.mixes):
        chosen = draw.sample(range(NUM), draw.randint(2, 24))
        for number, answer in zip(chosen, answers(engine, [asks[n] for n in chosen]), strict=True):
            num_answers += 1
            if answer != alone[number]:
                wrong.append((mix, number))
    result = {
        "mixes": told.mixes,
        "answers": num_answers,
        "not_the_same": len(wrong),
        "first": wrong[:5],
        "dtype": told.dtype,
        "rows_filled_up_to_a_multiple_of": engine.multiple,
        "seconds": round(time.perf_counter() - began),
    }
    engine.close()
    (RESULTS / f"mixes_{told.dtype}_{platform.machine()}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
