"""Real adapters as versions of a registry, without a run: written, fingerprinted, put in, named."""

import itertools
from pathlib import Path

import torch
from tests.support.registries import ROOT, hexed

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.card import On
from graftwork.adapters.files import read_card, write_adapter
from graftwork.adapters.logits import FILE
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.adapters.probing import put_fingerprint
from graftwork.core.digests import digest_of_file
from graftwork.core.spec import parse, plain
from graftwork.registry import naming
from graftwork.registry.manifest import Manifest
from graftwork.registry.versions import put_in

COUNT = itertools.count()


def write_lively(folder, base, seed=0, *, strength=0.3, below=(), **asked):
    """Write an adapter whose every tensor is random, with its fingerprint; `below` are the folders it stands on."""
    bank = AdapterBank(base)
    under = [bank.load(lower) for lower in below]
    handle = bank.fresh(parse(LoraSpec, {"method": "lora", "rank": 4, **asked}), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in bank[handle].tensors():
        if name.endswith("b_OR"):
            tensor.normal_(std=strength, generator=generator) if strength else tensor.zero_()
    on = On(path=str(below[-1]), near="../x", digest=read_card(below[-1]).digest) if below else None
    write_adapter(folder, bank[handle], base, {}, on=on)
    put_fingerprint(folder, bank, under)
    for one in (handle, *under):
        bank.remove(one)
    return folder


def put_folder(registry, folder, who=ROOT, **asked):
    """Put the adapter in `folder` in as a version; its digest. `asked` goes into the manifest."""
    card, folder = read_card(Path(folder)), Path(folder)
    files = {f"adapter/{path.name}": path for path in folder.iterdir()}
    raw = {
        "kind": "adapter",
        "content": card.digest,
        "base": plain(card.base),
        "on": card.on.digest if card.on else None,
        "recipe": hexed("recipe"),
        "data": {"train": hexed("train"), "evaluation": hexed("evaluation")},
        "seed": next(COUNT),
        "num_steps": 10,
        "versions": {"graftwork": "0.1.0"},
        "logits": digest_of_file(folder / FILE) if (folder / FILE).exists() else None,
        "files": [
            {"path": path, "digest": digest_of_file(file), "num_bytes": file.stat().st_size}
            for path, file in sorted(files.items())
        ],
        **asked,
    }
    pieces = {path: [file.read_bytes()] for path, file in files.items()}
    return put_in(registry, who, parse(Manifest, raw), pieces, None)


def point(registry, name, version, who=ROOT, stage="production"):
    """Have a name mean a version at a stage."""
    before = naming.names(registry, who).get(name, {})
    if before.get("candidate") != version:
        naming.nominate(registry, who, name, version, expected=before.get("candidate"))
    if stage != "candidate":
        naming.promote(registry, who, name, version, stage, expected=before.get(stage))


def named(registry, name, folder, who=ROOT, **asked):
    """Put the adapter in `folder` in and have `name` mean it; the version."""
    version = put_folder(registry, folder, who, **asked)
    point(registry, name, version, who)
    return version
