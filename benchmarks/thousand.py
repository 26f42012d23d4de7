"""What does it cost a client that 1,000 versions share memory for 16, while 64 of them are asked for?

    .venv/bin/python benchmarks/thousand.py [--versions 1000] [--resident 16] [--asked 64] [--registry DIR]

1,000 versions under 1,000 names in one registry; the 64 that are asked for are 64 adapters of rank 8 on all linear
layers, the others are of the same bytes as one of them. Two `graftwork serve` processes on it: one has memory for 16
adapters, the other for all 64. Both get the same requests at the same distances, in turns: streams of a few tokens,
spread evenly over the 64 names in a drawn order, with a question of their own each, at a share of the pace at which the
second server can answer them. An adapter is proved each time that it comes into memory.

Time to the first token of both, side by side; requests that failed; and, looked at all the time, the bytes that the
first server says its adapters have, and its whole process. Writes benchmarks/results/thousand_<machine>.json.

With --registry the registry is kept there, and used again.
"""

import argparse
import asyncio
import json
import random
import re
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from served_process import Answer, Running, chat, serving, streamed
from served_registry import DTYPE, Maker, key_for, made, owner, point, put, results, share, spread

BASE, NEW_TOKENS = "bundled:smollm2-135m-instruct", 8
KEY, SIZE = "benchmark.key", "benchmark.bytes"
TEXT = "a customer asks about the parcel that was to come on Monday and was not seen since it left the harbour"


@dataclass
class Seen:
    """Of one server: answers, and what its memory was."""

    answers: list[Answer] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    adapter_bytes: list[float] = field(default_factory=list)
    process_bytes: list[int] = field(default_factory=list)


def named(number: int) -> str:
    """What a version is called."""
    return f"name-{number:04}"


def filled(place: Path, given: argparse.Namespace) -> None:
    """Make the registry."""
    with TemporaryDirectory() as folder, closing((registry := made(place)).database):
        maker = Maker(given.base, Path(folder), rank=given.rank, strength=given.strength, dtype=given.dtype)
        adapters = [maker.written(seed) for seed in range(given.asked)]
        for number in range(given.versions):
            version = put(registry, owner(), adapters[number % given.asked], seed=number)
            point(registry, owner(), named(number), version)
        (place / KEY).write_text(key_for(registry))
    (place / SIZE).write_text(str(adapters[0].bytes_in_memory))


def bodies(num_asked: int, rounds: int, seed: int, num_words: int) -> list[dict[str, Any]]:
    """Every name once a round, in a drawn order, with a question that nobody asked before."""
    draw = random.Random(seed)
    found = []
    for _ in range(rounds):
        for number in draw.sample(range(num_asked), num_asked):
            question = " ".join(draw.choices(TEXT.split(), k=num_words))
            found.append(chat(named(number), question, max_tokens=NEW_TOKENS))
    return found


async def paced(client: httpx.AsyncClient, asked: list[dict[str, Any]], every_s: float, seen: Seen, seed: int) -> None:
    """Requests at drawn distances, `every_s` in the mean, whatever became of those before."""
    draw, tasks = random.Random(seed), []
    for body in asked:
        tasks.append(asyncio.create_task(one(client, body, seen)))
        await asyncio.sleep(draw.expovariate(1 / every_s))
    await asyncio.gather(*tasks)


async def one(client: httpx.AsyncClient, body: dict[str, Any], seen: Seen) -> None:
    """One request."""
    try:
        told = await streamed(client, body)
    except httpx.HTTPError as error:
        seen.wrong.append(f"{body['model']}: {type(error).__name__}: {error}")
        return
    if told.status != 200:
        seen.wrong.append(f"{body['model']}: {told.status}: {told.text[:300]}")
    seen.answers.append(told)


async def watched(server: Running, client: httpx.AsyncClient, seen: Seen) -> None:
    """Look at memory until nobody wants it any more."""
    while True:
        told = (await client.get("/metrics")).text
        found = re.search(r'^graftwork_adapter_bytes\{tier="memory"\} (\S+)$', told, re.MULTILINE)
        assert found, told
        seen.adapter_bytes.append(float(found[1]))
        seen.process_bytes.append(server.resident_bytes())
        await asyncio.sleep(0.25)


async def warmed(client: httpx.AsyncClient, given: argparse.Namespace, seen: Seen) -> float:
    """Every name once, one after another; then the seconds that an answer takes when many are asked at once."""
    for body in bodies(given.asked, 1, -1, given.words):
        await one(client, body, seen)
    began = time.perf_counter()
    await asyncio.gather(*(one(client, body, seen) for body in bodies(given.asked, 1, -2, given.words)))
    return (time.perf_counter() - began) / given.asked


async def compared(servers: dict[str, Running], key: str, given: argparse.Namespace) -> dict[str, Any]:
    """Both servers in turns."""
    seen = {name: Seen() for name in servers}
    rounds: list[dict[str, list[Answer]]] = []
    async with servers["few"].client(key) as few, servers["all"].client(key) as every:
        clients = {"few": few, "all": every}
        every_s = await warmed(every, given, seen["all"]) / given.load
        await warmed(few, given, seen["few"])
        watch = asyncio.create_task(watched(servers["few"], few, seen["few"]))
        for number in range(given.rounds):
            asked = bodies(given.asked, given.repeats, number, given.words)
            rounds.append({})
            for name in sorted(clients, reverse=bool(number % 2)):
                before = len(seen[name].answers)
                await paced(clients[name], asked, every_s, seen[name], seed=number)
                rounds[-1][name] = seen[name].answers[before:]
        watch.cancel()
    return told_of(seen, rounds, every_s)


def told_of(seen: dict[str, Seen], rounds: list[dict[str, list[Answer]]], every_s: float) -> dict[str, Any]:
    """In numbers."""
    by_round = [{name: share((one.first_s for one in got), 0.95) for name, got in each.items()} for each in rounds]
    every = {name: [one.first_s for each in rounds for one in each[name]] for name in seen}
    return {
        "seconds_between_requests": round(every_s, 3),
        "first_token_ms": {name: spread(seconds) for name, seconds in every.items()},
        "p95_few_by_all": round(share(every["few"], 0.95) / share(every["all"], 0.95), 2),
        "p95_few_by_all_each_round": [round(one["few"] / one["all"], 2) for one in by_round],
        "wrong": [*seen["few"].wrong, *seen["all"].wrong][:20],
        "most_adapter_bytes": max(seen["few"].adapter_bytes),
        "times_looked_at_memory": len(seen["few"].adapter_bytes),
        "most_process_MiB": max(seen["few"].process_bytes) >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--resident", type=int, default=16)
    parser.add_argument("--asked", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2, help="requests for each name in a round")
    parser.add_argument("--load", type=float, default=0.5, help="share of the pace at which the second can answer")
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--strength", type=float, default=0.05)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dtype", default=DTYPE)
    parser.add_argument("--words", type=int, default=60, help="of a question")
    parser.add_argument("--registry", type=Path)
    parser.add_argument("--out", type=Path, default=results("thousand"))
    given = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        place = given.registry or Path(folder) / "registry"
        if not (place / SIZE).exists():
            filled(place, given)
        size, key = int((place / SIZE).read_text()), (place / KEY).read_text()
        servers = {}
        for name, num in (("few", given.resident), ("all", given.asked)):
            settings = {
                "dtype": given.dtype,
                "models": {"memory": size * num, "cache": f"{folder}/{name}"},
                "engine": {"kv_memory": "128 MiB"},
                "receipts": {"folder": f"{folder}/{name}-receipts"},
            }
            log = given.out.with_suffix(f".{name}.log")
            servers[name] = stack.enter_context(serving(place, given.base, log=log, settings=settings))
        told = asyncio.run(compared(servers, key, given))
    told = {"versions": given.versions, "asked": given.asked, "resident": given.resident, **told}
    told["budget_bytes"] = size * given.resident
    given.out.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    if told["wrong"] or told["most_adapter_bytes"] > told["budget_bytes"]:
        raise SystemExit("something was not as it must be")


if __name__ == "__main__":
    main()
