"""A server and whoever writes to its registry are killed at random moments: what is on disk is whole, and both go on.

GRAFTWORK_KILLS=50 pytest tests/e2e/test_killed_server.py kills more often than the suite does.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.registries import ADMIN, ROOT
from tests.support.served_cli import ROOT as CODE
from tests.support.served_cli import address_of, chat, client_of, started
from tests.support.versions_of import named, write_lively

from graftwork.base.load import load_base
from graftwork.registry import naming, versions
from graftwork.registry.access.keys import new_key
from graftwork.registry.checking import check
from graftwork.registry.place import PlaceSpec, make, opened
from graftwork.registry.signing.keys import read_public_key
from graftwork.serving.operations.journal import verified

KILLS = int(os.environ.get("GRAFTWORK_KILLS", "1"))
MOST_ANSWERS, LONGEST_S = 12, 60
"""So many answers come at the most before a kill; a wait for them ends so late."""

WRITER = """\
import sys
from pathlib import Path
from tests.support.registries import ROOT
from tests.support.versions_of import point, put_folder
from graftwork.registry import naming
from graftwork.registry.place import opened
place, root, turn = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
registry = opened(place)
for n in range(100_000):
    version = put_folder(registry, root / f"adapter-{n % 2}", seed=(turn + 1) * 100_000 + n)
    point(registry, "bot", version)
    naming.rollback(registry, ROOT, "bot", expected=version)
    print(n, flush=True)
"""


def writing(place, root, turn):
    """A process that adds versions, moves `bot` to them and back."""
    words = [sys.executable, "-c", WRITER, *map(str, (place, root, turn))]
    env = {**os.environ, "PYTHONPATH": f"{CODE}:{CODE / 'src'}"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


class Asking(threading.Thread):
    """Asks until nobody answers any more; whatever is answered must be whole."""

    def __init__(self, address, key):
        super().__init__()
        self.client, self.answers, self.wrong = client_of(address, key), [], []

    def run(self):
        """One question after the other, streamed and not."""
        with self.client:
            while not self.wrong:
                try:
                    reply = chat(self.client, "bot", stream=len(self.answers) % 2 == 1)
                except httpx.HTTPError:
                    return  # it was killed
                if reply.status_code != 200:
                    self.wrong.append(reply.text)
                elif reply.headers["content-type"].startswith("text/event-stream"):
                    self.answers.append(json.loads(reply.text.split("data: ")[-2])["graftwork"]["version"])
                else:
                    self.answers.append(reply.json()["graftwork"]["version"])


@dataclass
class Scene:
    """Where everything lies, and how far it has come.

    Attributes:
        entries: of the ledger.
        receipts: on disk.
        answers: to all who asked.
    """

    root: Path
    base: Path
    key: str
    draw: random.Random
    entries: int = 0
    receipts: int = 0
    answers: int = 0

    @property
    def place(self):
        """The registry."""
        return self.root / "registry"

    @property
    def folder(self):
        """Of receipts."""
        return self.root / "receipts"

    def server(self):
        """One more server, on what the last one left."""
        models = {"cache": str(self.root / "cache"), "poll_s": 0.01, "memory": "1 MiB"}
        receipts = {"folder": str(self.folder)}
        return started(self.place, self.base, self.root / "server", models=models, receipts=receipts)

    def address(self, server):
        """Where a server answers."""
        return address_of(server, self.root / "server")


@pytest.fixture
def scene(tmp_path, tiny_folder):
    """A registry in which `bot` has meant two versions, and adapters for more."""
    base = load_base(str(tiny_folder), dtype="float32")
    make(tmp_path / "registry", PlaceSpec(), ROOT)
    with closing((registry := opened(tmp_path / "registry")).database):
        for seed in range(2):
            named(registry, "bot", write_lively(tmp_path / f"adapter-{seed}", base, seed))
        key = new_key(registry, ROOT, "kim", ["viewer"])
    return Scene(tmp_path, tiny_folder, key, random.Random(11))


def test_what_a_kill_leaves_is_whole_and_the_next_server_answers(scene):
    for turn in range(KILLS):
        askers, said = _killed(scene, turn)
        assert "Traceback" not in said, said
        for asker in askers:
            asker.join(60)
            assert not asker.wrong, asker.wrong
            scene.answers += len(asker.answers)
        known = _whole(scene)
        assert {version for asker in askers for version in asker.answers} <= known
        _receipts_go_on(scene)
    assert scene.answers
    assert scene.receipts
    server = scene.server()
    try:
        with client_of(scene.address(server), scene.key) as client:
            reply = chat(client, "bot")
            assert reply.status_code == 200, reply.text
        server.terminate()
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.communicate()
    head = verified(scene.folder, _trusted(scene.folder))
    assert head.sequence > scene.receipts
    found = f"{scene.answers} answers, {head.sequence} receipts, {scene.entries} entries of the ledger"
    print(f"{KILLS} times killed: {found}; all whole")


def _killed(scene, turn):
    """Who asked, and what the writer had to say."""
    server, writer, askers = scene.server(), writing(scene.place, scene.root, turn), []
    try:
        if turn % 5 == 4:  # while it is still starting
            time.sleep(scene.draw.uniform(0, 4))
        else:
            address = scene.address(server)
            writer.stdout.readline()
            askers = [Asking(address, scene.key) for _ in range(3)]
            for asker in askers:
                asker.start()
            _wait_for(askers, scene.draw.randrange(MOST_ANSWERS))
            time.sleep(scene.draw.uniform(0, 0.1))  # and at any moment of the next ones
        for one in scene.draw.sample([server, writer], 2):
            one.kill()
            time.sleep(scene.draw.uniform(0, 0.1))  # kills come at any distance
    finally:
        for one in (server, writer):
            one.kill()
        said = [one.communicate() for one in (server, writer)]
    return askers, said[1][1]


def _wait_for(askers, num_answers):
    ends = time.monotonic() + LONGEST_S
    while sum(len(asker.answers) for asker in askers) < num_answers and time.monotonic() < ends:
        time.sleep(0.005)  # polling what other threads were told


def _whole(scene):
    """Versions on record; nothing of the registry is half there, and no entry of the ledger is gone."""
    with closing((registry := opened(scene.place)).database):
        found = check(registry, ADMIN)
        assert not found.problems, found.problems
        assert found.num_entries >= scene.entries
        scene.entries = found.num_entries
        assert naming.resolve(registry, ROOT, "bot")
        return {one.digest for one in versions.all_versions(registry, ROOT)}


def _receipts_go_on(scene):
    """All but a last line that was cut short follow from each other, and none is gone."""
    if not scene.folder.is_dir():
        return
    files = sorted(scene.folder.glob("*.jsonl"))
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True)]
    num_whole = len(lines) - (bool(lines) and not lines[-1].endswith(b"\n"))
    assert num_whole >= scene.receipts
    if num_whole == len(lines) and lines:
        assert verified(scene.folder, _trusted(scene.folder)).sequence == num_whole
    scene.receipts = num_whole


def _trusted(folder):
    public = read_public_key(folder / "server.key.pub")
    return {public.key_id: public}
