"""Does every answer come from one whole version while its name is moved 10,000 times, and how long does a move take?

    .venv/bin/python benchmarks/swaps.py [--moves 10000] [--clients 8] [--registry DIR --key-file FILE --name triage]

One `graftwork serve` process. Clients ask short greedy questions under one name without pause; the name moves between
two versions all the while: most moves by the admin API (rollback and promote in turn), the last part by a process that
writes to the registry's database. Before, each version is asked every question alone, by its digest.

Each answer says which version gave it, and must be that version's answer alone, to the letter. Now and then a question
is asked after a move was confirmed and before the next one: the version that it moved to must answer. No request may
fail. Afterwards the registry is verified: ledger, rows, blobs. Who moves is a process of its own, so that its clock
does not measure the clients.

Without --registry two versions that say different things are made. Writes benchmarks/results/swaps_<machine>.json.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from served_process import asked, chat, serving
from served_registry import DTYPE, Maker, key_for, made, owner, point, put, results, spread

from graftwork.registry import naming
from graftwork.registry.checking import check
from graftwork.registry.place import opened

BASE, NEW_TOKENS, MOVES_BETWEEN_LOOKS = "bundled:smollm2-135m-instruct", 6, 50
QUESTIONS = [
    f"Which department answers this? {question}"
    for question in (
        "Which nerve supplies the deltoid muscle?",
        "What causes shifting dullness?",
        "Which drug is given for absence seizures?",
        "Which tooth comes first?",
        "What is the normal refractive power of the eye?",
        "Which vitamin is lacking in beriberi?",
    )
]


@dataclass
class Seen:
    """What came of it: seconds of moves by their kind, answers by version, and whatever was wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        """What another process has seen."""
        self.seconds |= other["seconds"]
        self.answers += Counter(other["answers"])
        self.looks += other["looks"]
        self.wrong += other["wrong"]


class Show:
    """A name of a server, its two versions, and what each says alone."""

    def __init__(self, client: httpx.AsyncClient, name: str, versions: tuple[str, str]) -> None:
        self.client, self.name, self.versions, self.seen = client, name, versions, Seen()
        self.alone: dict[tuple[str, str], str] = {}
        self.is_over = False

    async def ask_alone(self) -> None:
        """Each version each question, one after another."""
        for version in self.versions:
            for question in QUESTIONS:
                told = await asked(self.client, self._body(question, f"{self.name}@{version}"))
                assert (told.status, told.version) == (200, version), told
                self.alone[version, question] = told.text
        first, second = ([self.alone[version, question] for question in QUESTIONS] for version in self.versions)
        differ = sum(a != b for a, b in zip(first, second, strict=True))
        if differ < len(QUESTIONS) / 2:
            raise SystemExit(
                f"the versions answer {differ} of {len(QUESTIONS)} questions differently: they prove nothing"
            )

    async def ask_on(self, number: int) -> None:
        """One question after the other until the moves are over."""
        for question in cycle(QUESTIONS[number % len(QUESTIONS) :] + QUESTIONS[: number % len(QUESTIONS)]):
            if self.is_over:
                return
            await self.ask(question)

    async def ask(self, question: str, expected: str | None = None) -> None:
        """One question, and what came back held against what that version says alone."""
        try:
            told = await asked(self.client, self._body(question, self.name))
        except httpx.HTTPError as error:
            self.seen.wrong.append(f"no answer: {type(error).__name__}: {error}")
            return
        if told.status != 200 or told.version is None:
            self.seen.wrong.append(f"{told.status}: {told.text[:300]}")
            return
        self.seen.answers[told.version] += 1
        if told.text != self.alone.get((told.version, question)):
            self.seen.wrong.append(f"{told.version[:12]} to {question!r}: {told.text!r}, which it does not say alone")
        if expected not in (None, told.version):
            self.seen.wrong.append(f"{told.version[:12]} answered after the name had moved to {expected}")

    def _body(self, question: str, model: str) -> dict[str, Any]:
        return chat(model, question, max_tokens=NEW_TOKENS)


async def shown(show: Show, place: Path, url: str, key: str, num_moves: list[int], num_clients: int) -> dict[str, Any]:
    """Everything at once."""
    await show.ask_alone()
    began = time.monotonic()
    clients = [asyncio.create_task(show.ask_on(number)) for number in range(num_clients)]
    for kind, number in zip(("api", "registry"), num_moves, strict=True):
        alone = [[*pair, text] for pair, text in show.alone.items()]
        task = {"kind": kind, "place": str(place), "url": url, "key": key, "name": show.name, "moves": number}
        words = [sys.executable, __file__, "--task", json.dumps({**task, "versions": show.versions, "alone": alone})]
        child = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
        told, _ = await child.communicate()
        if child.returncode:
            show.seen.wrong.append(f"whoever moves ended with {child.returncode}")
            break
        show.seen.add(json.loads(told))
    show.is_over = True
    await asyncio.gather(*clients)
    return {"seconds": round(time.monotonic() - began, 1)}


def moved(task: dict[str, Any]) -> Seen:
    """What a process that moves has seen."""
    if task["kind"] == "registry":
        return Seen(seconds={"registry rollback": moved_here(Path(task["place"]), task["name"], task["moves"])})
    return asyncio.run(moved_by_api(task))


async def moved_by_api(task: dict[str, Any]) -> Seen:
    """Back by rollback, forth by promote; after some of the moves a question."""
    name, versions = task["name"], task["versions"]
    headers = {"authorization": f"Bearer {task['key']}"}
    with closing((registry := opened(Path(task["place"]))).database):
        now = naming.resolve(registry, owner(), name)
    async with httpx.AsyncClient(base_url=task["url"], headers=headers, timeout=60, trust_env=False) as client:
        show = Show(client, name, (versions[0], versions[1]))
        show.alone = {(version, question): text for version, question, text in task["alone"]}
        for number in range(task["moves"]):
            other = versions[versions.index(now) ^ 1]
            kind = ("rollback", "promote")[number % 2]
            body = {"expected": now, **({"version": other} if kind == "promote" else {})}
            began = time.perf_counter()
            reply = await client.post(f"/admin/v1/names/{name}/{kind}", json=body)
            show.seen.seconds.setdefault(f"API {kind}", []).append(time.perf_counter() - began)
            if reply.status_code != 200 or reply.json()["after"] != other:
                show.seen.wrong.append(f"{kind}: {reply.status_code}: {reply.text[:300]}")
            now = other
            if number % MOVES_BETWEEN_LOOKS == 0:
                show.seen.looks += 1
                await show.ask(QUESTIONS[number % len(QUESTIONS)], expected=now)
    return show.seen


def moved_here(place: Path, name: str, num_moves: int) -> list[float]:
    """Roll a name back so many times; the seconds of each."""
    seconds = []
    with closing((registry := opened(place)).database):
        now = naming.resolve(registry, owner(), name)
        for _ in range(num_moves):
            began = time.perf_counter()
            now = naming.rollback(registry, owner(), name, expected=now)
            seconds.append(time.perf_counter() - began)
    return seconds


def versions_of(place: Path, name: str) -> tuple[str, str]:
    """The two versions between which a name moves: those of its last move in production."""
    with closing((registry := opened(place)).database):
        last = [move for move in naming.history(registry, owner(), name) if move.stage == "production"][-1]
    assert last.before
    assert last.after
    return last.before, last.after


def made_here(place: Path, given: argparse.Namespace) -> str:
    """A registry with two versions of a name; a key."""
    maker = Maker(given.base, place.parent, strength=given.strength, dtype=given.dtype)
    with closing((registry := made(place)).database):
        for seed in range(2):
            point(registry, owner(), given.name, put(registry, owner(), maker.written(seed)))
        return key_for(registry)


async def run(given: argparse.Namespace, place: Path, key: str) -> dict[str, Any]:
    """The show, and what was seen."""
    versions = versions_of(place, given.name)
    settings = {"dtype": given.dtype, "engine": {"kv_memory": "256 MiB"}}
    with serving(place, given.base, log=given.out.with_suffix(".log"), settings=settings) as server:
        async with server.client(key) as client:
            show = Show(client, given.name, versions)
            num_here = int(given.moves * given.elsewhere)
            told = await shown(show, place, server.url, key, [given.moves - num_here, num_here], given.clients)
    seen = show.seen
    moves = {kind: spread(seconds) for kind, seconds in seen.seconds.items()}
    answers = {"answers": dict(seen.answers), "asked_between_two_moves": seen.looks}
    return {**told, "clients": given.clients, "moves_ms": moves, **answers, "wrong": seen.wrong[:20]}


def main() -> None:
    if sys.argv[1:2] == ["--task"]:
        print(json.dumps(vars(moved(json.loads(sys.argv[2])))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=10_000)
    parser.add_argument("--elsewhere", type=float, default=0.2, help="share of the moves by the registry room alone")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--strength", type=float, default=0.05)
    parser.add_argument("--dtype", default=DTYPE)
    parser.add_argument("--registry", type=Path, help="a registry, which is copied")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--name", default="triage")
    parser.add_argument("--out", type=Path, default=results("swaps"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "registry"
        if given.registry:
            shutil.copytree(given.registry, place)
            key = given.key_file.read_text().strip()
        else:
            key = made_here(place, given)
        quiet = {"registry rollback, before the server": spread(moved_here(place, given.name, min(200, given.moves)))}
        told = asyncio.run(run(given, place, key))
        told["moves_ms"] = {**quiet, **told["moves_ms"]}
        with closing((registry := opened(place)).database):
            found = check(registry, owner())
    told["registry"] = {"entries": found.num_entries, "problems": list(found.problems)}
    given.out.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    if told["wrong"] or found.problems:
        raise SystemExit("something was not as it must be")


if __name__ == "__main__":
    main()
