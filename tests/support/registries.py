"""Registries to try things on: a clock that is told the time, versions of a few bytes, people with roles."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from graftwork.core.spec import parse
from graftwork.registry.access.roles import principal
from graftwork.registry.blobs.memory import MemoryBlobs
from graftwork.registry.databases.memory import MemoryDatabase
from graftwork.registry.manifest import Manifest
from graftwork.registry.state import Registry
from graftwork.registry.versions import put_in

ADMIN = principal("ada", ["admin"])
TRAINER, DEPLOYER = principal("tom", ["trainer"]), principal("dora", ["deployer"])
APPROVERS = [principal(name, ["approver"]) for name in ("ann", "ben", "cem")]
ROOT = principal("root", ["trainer", "approver", "deployer", "admin"])


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self):
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self):
        return self.now

    def go(self, **spent):
        """Let time pass."""
        self.now += timedelta(**spent)
        return self.now


def hexed(text):
    """A digest for a word."""
    return sha256(text.encode()).hexdigest()


def contents(word):
    """The files of a small version."""
    return {"adapter/adapter_model.safetensors": f"weights of {word}".encode() * 50, "recipe.yaml": b"name: shared\n"}


def manifest(word, **asked):
    """The manifest of a small version."""
    base = {part: hexed(part) for part in ("weights", "config", "tokenizer", "template")}
    files = [
        {"path": path, "digest": sha256(content).hexdigest(), "num_bytes": len(content)}
        for path, content in sorted(contents(word).items())
    ]
    raw = {
        "kind": "adapter",
        "content": hexed(word),
        "base": {"ref": "bundled:tiny", **base},
        "recipe": hexed("recipe"),
        "data": {"train": hexed("train"), "evaluation": hexed("evaluation")},
        "seed": 7,
        "num_steps": 10,
        "versions": {"graftwork": "0.1.0"},
        "files": files,
        **asked,
    }
    return parse(Manifest, raw)


def put(registry, word, who=TRAINER, envelope=None, **asked):
    """Put a small version in; its digest."""
    pieces = {path: [content] for path, content in contents(word).items()}
    return put_in(registry, who, manifest(word, **asked), pieces, envelope)


def memory_registry(**asked):
    """A registry in memory, and its clock."""
    clock = Clock()
    return Registry(database=MemoryDatabase(), blobs=MemoryBlobs(clock), clock=clock, **asked), clock
