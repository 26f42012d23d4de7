"""Does a server's memory stay as it is, and does nothing fail, under everything at once for a long time?

    .venv/bin/python benchmarks/soak.py [--minutes 30] [--base BASE] [--port 0] [--settings FILE]

One `graftwork serve` process. Two tenants with four names each, of which not all have room in memory at once. Without
pause and beside each other:

| who | does |
|---|---|
| readers | chats and continuations, streamed or whole, one answer or two, greedy or drawn, with logprobs or without |
| leavers | begin a stream and go away in the middle of it |
| wrong ones | bodies that are no JSON, unknown models, unknown keys of a body, no API key, prompts that are too long |
| operators | move a name, load, unload, pin and unpin, ask for status and history |

Every answer has the status that it must have. The process's memory is looked at every second. Writes
benchmarks/results/soak_<machine>.json, and a line a minute to standard output.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from served_process import Running, chat, chunks, serving
from served_registry import DTYPE, Maker, key_for, made, owner, point, put, results

from graftwork.core.recipe import read_recipe

BASE = "bundled:smollm2-135m-instruct"
TENANTS, NAMES = ("default", "elsewhere"), ("one", "two", "three", "four")
SETTLES_FRAC = 1 / 6
"""Of the time, after which memory should be as it will stay: 5 of 30 minutes."""

QUESTIONS = (
    "Which nerve supplies the deltoid muscle?",
    "List three colours.",
    "用一句话说明什么是复利。",
    "A customer asks about the parcel that was to come on Monday and was not seen since. " * 3,
)
Act = Callable[[httpx.AsyncClient, random.Random], Awaitable[None]]


@dataclass
class Seen:
    """What came of it.

    Attributes:
        replies: how many, by who asked and how it ended.
        wrong: what was not as it must be.
        memory: seconds since the start, and bytes.
    """

    replies: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def reply(self, who: str, status: int, expected: set[int], told: str) -> None:
        """One more reply."""
        self.replies[f"{who} {status}"] += 1
        if status not in expected:
            self.wrong.append(f"{who}: {status} instead of {sorted(expected)}: {told[:500]}")


class Traffic:
    """Everybody who asks, of one tenant."""

    def __init__(self, seen: Seen, versions: dict[str, tuple[str, str]]) -> None:
        self.seen, self.versions = seen, versions

    async def read(self, client: httpx.AsyncClient, draw: random.Random) -> None:
        """One request as clients send them."""
        name, question = draw.choice([*self.versions, "smollm"]), draw.choice(QUESTIONS)
        asked: dict[str, Any] = {"max_tokens": draw.randint(1, 12), "stream": draw.random() < 0.5}
        if draw.random() < 0.5:
            asked |= {"temperature": 0.8, "top_p": 0.9, "seed": draw.randrange(1000)}
        if draw.random() < 0.2:
            asked |= {"n": 2, "temperature": 1.0}
        name = self.base if name == "smollm" else name
        if draw.random() < 0.5:
            path, body = "/v1/chat/completions", chat(name, question, **asked)
            if draw.random() < 0.3:
                body |= {"logprobs": True, "top_logprobs": 2}
        else:
            path, body = "/v1/completions", {"model": name, "prompt": question, **asked}
        if not asked["stream"]:
            reply = await client.post(path, json=body)
            self.seen.reply("read", reply.status_code, {200}, reply.text)
            return
        async with client.stream("POST", path, json=body) as stream:
            told = [] if stream.status_code == 200 else [(await stream.aread()).decode()]
            if not told:
                told = [json.dumps(chunk) for chunk in [one async for one in chunks(stream)] if "error" in chunk]
            self.seen.reply(
                "stream", 500 if told and stream.status_code == 200 else stream.status_code, {200}, f"{told}"
            )

    async def leave(self, client: httpx.AsyncClient, draw: random.Random) -> None:
        """Go away in the middle."""
        body = chat(draw.choice(list(self.versions)), draw.choice(QUESTIONS), max_tokens=200, stream=True)
        body["logit_bias"] = {"29": 50}
        async with client.stream("POST", "/v1/chat/completions", json=body) as stream:
            number = 0
            async for _ in stream.aiter_lines():
                number += 1
                if number > draw.randint(1, 12):
                    break
            self.seen.reply("left", stream.status_code, {200}, "")
        await asyncio.sleep(draw.random())

    async def err(self, client: httpx.AsyncClient, draw: random.Random) -> None:
        """Ask for what cannot be had."""
        name = draw.choice(list(self.versions))
        wrong: list[tuple[dict[str, Any], int]] = [
            ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
            ({"json": chat(f"unknown-{draw.randrange(10**9)}", "?")}, 404),
            ({"json": chat(name, "?", temprature=1)}, 400),
            ({"json": chat(name, "?"), "headers": {"authorization": f"Bearer {draw.randrange(10**9)}"}}, 401),
            ({"json": chat(name, "word " * 9000)}, 400),
            ({"content": b"x" * 5_000_000, "headers": {"content-type": "application/json"}}, 413),
        ]
        asked, status = draw.choice(wrong)
        reply = await client.post("/v1/chat/completions", **asked)
        self.seen.reply("wrong", reply.status_code, {status}, reply.text)
        await asyncio.sleep(draw.random())

    async def operate(self, client: httpx.AsyncClient, draw: random.Random) -> None:
        """Move and load and unload."""
        name = draw.choice(list(self.versions))
        what = draw.choice(["move", "move", "load", "unload", "pin", "unpin", "status", "history", "metrics"])
        if what == "move":
            now = (await client.get("/admin/v1/names")).json()["names"]
            stages = next(one["stages"] for one in now if one["name"] == name)
            reply = await client.post(f"/admin/v1/names/{name}/rollback", json={"expected": stages["production"]})
            self.seen.reply(what, reply.status_code, {200}, reply.text)
        elif what in ("status", "history", "metrics"):
            path = {"status": "/admin/v1/status", "history": f"/admin/v1/names/{name}/history", "metrics": "/metrics"}
            reply = await client.get(path[what])
            self.seen.reply(what, reply.status_code, {200, 404} if what == "metrics" else {200}, reply.text)
        else:
            reply = await client.post(f"/admin/v1/models/{name}/{what}")
            may = {"unload": {200, 409}, "unpin": {200, 404}}.get(what, {200})  # pinned; not pinned
            self.seen.reply(what, reply.status_code, may, reply.text)
            if what == "pin":
                await client.post(f"/admin/v1/models/{name}/unpin")
        await asyncio.sleep(0.5 * draw.random())

    base = ""


async def again(act: Act, client: httpx.AsyncClient, draw: random.Random, seen: Seen, ends: float) -> None:
    """The same until the end."""
    while time.monotonic() < ends:
        try:
            await act(client, draw)
        except httpx.HTTPError as error:
            seen.wrong.append(f"{getattr(act, '__name__', act)}: {type(error).__name__}: {error}")


async def watched(server: Running, seen: Seen, ends: float) -> None:
    """Look at memory, and say how it stands."""
    began, told = time.monotonic(), -1
    while (now := time.monotonic()) < ends:
        seen.memory.append((now - began, server.resident_bytes()))
        if (minute := int((now - began) / 60)) > told:
            told = minute
            mib = seen.memory[-1][1] >> 20
            print(
                f"minute {minute}: {mib} MiB, {sum(seen.replies.values())} replies, {len(seen.wrong)} wrong", flush=True
            )
        await asyncio.sleep(1)


async def everything(server: Running, keys: dict[str, str], names: dict[str, Any], seconds: float, most: int) -> Seen:
    """All at once for so long."""
    seen, ends = Seen(), time.monotonic() + seconds
    clients = {tenant: server.client(key) for tenant, key in keys.items()}
    tasks = [watched(server, seen, ends)]
    for number, (tenant, client) in enumerate(clients.items()):
        traffic = Traffic(seen, names[tenant])
        traffic.base = server.names[0]
        acts: list[Act] = [*[traffic.read] * most, traffic.leave, traffic.err, traffic.operate]
        tasks += [again(act, client, random.Random(100 * number + place), seen, ends) for place, act in enumerate(acts)]
    await asyncio.gather(*tasks)
    for client in clients.values():
        await client.aclose()
    return seen


def told_of(seen: Seen, seconds: float) -> dict[str, Any]:
    """In numbers: memory is the middle of a sixth of the time, behind the first one and at the end."""
    part = seconds * SETTLES_FRAC
    early = [size for at, size in seen.memory if part <= at < 2 * part]
    late = [size for at, size in seen.memory if at >= seconds - part]
    before, after = statistics.median(early), statistics.median(late)
    minutes: dict[int, list[int]] = {}
    for at, size in seen.memory:
        minutes.setdefault(int(at / 60), []).append(size)
    return {
        "seconds": round(seconds),
        "replies": dict(sorted(seen.replies.items())),
        "wrong": seen.wrong[:20],
        "num_wrong": len(seen.wrong),
        "memory_MiB_by_minute": [round(statistics.median(sizes) / 2**20) for sizes in minutes.values()],
        "growth_after_the_first_sixth": round(after / before - 1, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--readers", type=int, default=3, help="of each tenant")
    parser.add_argument("--strength", type=float, default=0.05)
    parser.add_argument("--dtype", default=DTYPE)
    parser.add_argument("--settings", type=Path, help="more settings of the server")
    parser.add_argument("--out", type=Path, default=results("soak"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maker = Maker(given.base, folder, strength=given.strength, dtype=given.dtype)
        names: dict[str, dict[str, tuple[str, str]]] = {}
        with closing((registry := made(folder / "registry")).database):
            keys = {tenant: key_for(registry, tenant) for tenant in TENANTS}
            for number, tenant in enumerate(TENANTS):
                names[tenant] = {}
                for place, one in enumerate(NAMES):
                    pair = [maker.written(2 * (number * len(NAMES) + place) + more) for more in range(2)]
                    first, second = (put(registry, owner(tenant), adapter) for adapter in pair)
                    point(registry, owner(tenant), one, first)
                    point(registry, owner(tenant), one, second)
                    names[tenant][one] = first, second
        room = pair[0].bytes_in_memory * 13 // 2  # of 16 versions
        del maker
        asked = {"dtype": given.dtype, "models": {"memory": room}, "engine": {"kv_memory": "128 MiB"}}
        asked |= dict(read_recipe(given.settings)) if given.settings else {}
        with serving(
            folder / "registry", given.base, log=given.out.with_suffix(".log"), settings=asked, port=given.port
        ) as server:
            seen = asyncio.run(everything(server, keys, names, given.minutes * 60, given.readers))
        told = told_of(seen, given.minutes * 60)
    given.out.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    if seen.wrong:
        raise SystemExit("something was not as it must be")


if __name__ == "__main__":
    main()
