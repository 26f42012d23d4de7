"""Registries for benchmarks of the server: adapters that act, with their fingerprints, as versions under names."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.adapters.logits import FILE
from graftwork.adapters.probing import put_fingerprint
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import load_base
from graftwork.core.digests import digest, digest_of_file
from graftwork.core.spec import parse
from graftwork.registry import naming, versions
from graftwork.registry.access.keys import new_key
from graftwork.registry.access.roles import MAY, Principal, principal
from graftwork.registry.manifest import Manifest
from graftwork.registry.place import PlaceSpec, make, opened
from graftwork.registry.state import Registry

DTYPE = "bfloat16"


def owner(tenant: str = "default") -> Principal:
    """Somebody who may do everything for a tenant."""
    return principal("benchmark", MAY, tenant=tenant)


def made(place: Path) -> Registry:
    """A new registry in a folder."""
    make(place, PlaceSpec(), owner())
    return opened(place)


def key_for(registry: Registry, tenant: str = "default") -> str:
    """The text of a key that may do everything for a tenant."""
    return new_key(registry, owner(), "benchmark", list(MAY), tenant=tenant)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """An adapter in a folder, with its fingerprint.

    Attributes:
        bytes_in_memory: that it has where it is served.
    """

    folder: Path
    content: str
    base: Mapping[str, str]
    bytes_in_memory: int


class Maker:
    """Writes adapters on a base. What they say is noise, but no two say the same, and each is proved as any other is.

    Args:
        strength: spread of their second factors; the first ones are as a fresh adapter's.
    """

    def __init__(self, base: str, folder: Path, *, strength: float, dtype: str = DTYPE, rank: int = 4) -> None:
        self._bank, self._folder = AdapterBank(load_base(base, dtype=dtype)), folder
        self._spec = parse_adapter_spec({"method": "lora", "rank": rank})
        self._strength = strength

    def written(self, seed: int) -> Written:
        """An adapter of its own for each seed."""
        bank, folder = self._bank, self._folder / f"adapter-{seed}"
        handle = bank.fresh(self._spec, seed=seed)
        draw = torch.Generator().manual_seed(seed)
        for name, tensor in bank[handle].trained():
            if name.endswith("b_OR"):
                tensor.normal_(std=self._strength, generator=draw)
        numbers = sum(tensor.numel() for _, tensor in bank[handle].tensors())
        num_bytes = bank[handle].num_bytes + numbers * bank.base.model.dtype.itemsize
        card = write_adapter(folder, bank[handle], bank.host, {})
        bank.remove(handle)
        put_fingerprint(folder, bank)
        base = bank.base.fingerprint
        parts = {part: getattr(base, part) for part in ("weights", "config", "tokenizer", "template")}
        told = {"ref": bank.base.ref, **parts}
        return Written(folder=folder, content=card.digest, base=told, bytes_in_memory=num_bytes)


def put(registry: Registry, who: Principal, one: Written, seed: int = 0) -> str:
    """Put an adapter in as a version; its digest. With another seed it is another version, of the same bytes."""
    files = {f"adapter/{path.name}": path for path in sorted(one.folder.iterdir())}
    raw = {
        "kind": "adapter",
        "content": one.content,
        "base": dict(one.base),
        "recipe": digest("none"),
        "data": {"train": digest("none"), "evaluation": digest("none")},
        "seed": seed,
        "num_steps": 0,
        "versions": {"torch": installed("torch")},
        "logits": digest_of_file(one.folder / FILE),
        "files": [
            {"path": path, "digest": digest_of_file(file), "num_bytes": file.stat().st_size}
            for path, file in files.items()
        ],
    }
    return versions.add(registry, who, parse(Manifest, raw), files)


def point(registry: Registry, who: Principal, name: str, version: str) -> None:
    """Have a name mean a version."""
    before = naming.names(registry, who).get(name, {})
    naming.nominate(registry, who, name, version, expected=before.get("candidate"))
    naming.promote(registry, who, name, version, "production", expected=before.get("production"))


def share(values: Iterable[float], part: float) -> float:
    """The value that a part of all values are at most."""
    told = sorted(values)
    return told[min(len(told) - 1, int(len(told) * part))]


def spread(seconds: Iterable[float]) -> dict[str, float]:
    """In milliseconds: the middle, what 95 and 99 of 100 are at most, and the most."""
    told = list(seconds)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {"n": len(told), **{name: round(share(told, part) * 1e3, 2) for name, part in shares.items()}}


def results(name: str) -> Path:
    """Where a benchmark's result goes."""
    return Path(__file__).parent / "results" / f"{name}_{platform.machine()}.json"
