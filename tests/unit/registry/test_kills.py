"""Writers that are killed at random moments leave a whole registry, and the next one goes on."""

import random
import signal
import subprocess
import sys
import time

from tests.support.registries import ADMIN, ROOT

from graftwork.core.digests import digest_of_file
from graftwork.registry import naming
from graftwork.registry.blobs.folder import FolderBlobs
from graftwork.registry.checking import check
from graftwork.registry.place import PlaceSpec, make, opened

KILLS = 12

WRITER = """\
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tests.support.registries import ROOT, put
from graftwork.registry import naming
from graftwork.registry.collecting import collect
from graftwork.registry.pins import pin
from graftwork.registry.place import PlaceSpec, make, opened
path, turn = Path(sys.argv[1]), sys.argv[2]
make(path, PlaceSpec(), ROOT)
registry = opened(path)
for n in range(10_000):
    digest = put(registry, f"{turn}-{n}", who=ROOT)
    stages = naming.names(registry, ROOT).get("bot", {})
    seen = stages.get("production")
    naming.nominate(registry, ROOT, "bot", digest, expected=stages.get("candidate"))
    naming.promote(registry, ROOT, "bot", digest, "production", expected=seen)
    if seen:
        naming.rollback(registry, ROOT, "bot", expected=digest)
    pin(registry, ROOT, digest, "run", datetime.now(UTC) + timedelta(days=1))
    if n % 3 == 2:
        collect(registry, ROOT, keep=timedelta(0))
    print(n, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_registry(tmp_path):
    path, draw = tmp_path / "registry", random.Random(5)
    entries, went_on = 0, 0
    for turn in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(turn)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if turn % 4:  # else while it is still starting: making folder, tables, files
            child.stdout.readline()
            time.sleep(draw.uniform(0, 0.15))
        else:
            time.sleep(draw.uniform(0.3, 2))
        child.send_signal(signal.SIGKILL)
        said = child.communicate()[1].decode()
        assert "Traceback" not in said, said
        if not (path / "registry.yaml").exists():
            continue  # killed before there was one; the next writer makes it
        registry = opened(path)
        found = check(registry, ADMIN)
        assert not found.problems, found.problems
        assert found.num_entries >= entries
        went_on += found.num_entries > entries
        entries = found.num_entries
        registry.database.close()
    assert went_on >= KILLS // 2
    make(path, PlaceSpec(), ADMIN)
    registry = opened(path)
    registry.blobs.clear()
    assert not list((path / "blobs" / "arriving").iterdir())
    assert naming.history(registry, ROOT, "bot")
    registry.database.close()


PUTTER = """\
import os, sys
from pathlib import Path
from graftwork.registry.blobs.folder import FolderBlobs
blobs = FolderBlobs(Path(sys.argv[1]))
while True:
    piece = os.urandom(1 << 20)
    blobs.put([piece] * 24)
    print("put", flush=True)
"""


def test_a_blob_is_there_whole_or_not_at_all(tmp_path):
    draw = random.Random(3)
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", PUTTER, tmp_path], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(draw.uniform(0, 0.2))
        child.kill()
        child.communicate()
        for blob in (found := list(FolderBlobs(tmp_path).each())):
            assert digest_of_file(tmp_path / blob.digest[:2] / blob.digest) == blob.digest
            FolderBlobs(tmp_path).remove(blob.digest)
        assert found
