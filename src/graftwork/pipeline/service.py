"""A server put together: base, bank, engine, models, keys, and the HTTP side over them."""

from __future__ import annotations

import getpass
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.pipeline.local_models import LocalModels, local_models, named_folders
from graftwork.registry.access.keys import new_key
from graftwork.registry.access.roles import DEFAULT_TENANT, MAY, principal
from graftwork.registry.blobs.memory import MemoryBlobs
from graftwork.registry.databases.memory import MemoryDatabase
from graftwork.registry.place import opened
from graftwork.registry.state import Registry
from graftwork.serving.guard.door import GuardDoor
from graftwork.serving.guard.guard import read_guard
from graftwork.serving.http.parts import Parts, Speech
from graftwork.serving.http.seams import NoGuard, NoLimits, NoWatcher, ServedModels
from graftwork.serving.http.server import bound, serve
from graftwork.serving.http.text.characters import TokenTexts
from graftwork.serving.interface import Engine
from graftwork.serving.models.models import RegistryModels
from graftwork.serving.models.spec import ModelsSpec
from graftwork.serving.spec import ServeSpec

MakeEngine = Callable[[AdapterBank, ServeSpec], Engine]


@dataclass(frozen=True, kw_only=True, slots=True)
class Began:
    """What is said when a server takes requests.

    Attributes:
        names: that can be asked for.
        key: made for this run alone, where there is no registry with keys.
    """

    address: str
    names: tuple[str, ...]
    key: str | None


def batch_engine(bank: AdapterBank, spec: ServeSpec) -> Engine:
    """The engine that answers many at once."""
    module = import_module("graftwork.serving.engine.engine")
    memory = {} if spec.kv_memory is None else {"cache_bytes": spec.kv_memory}
    engine: Engine = module.BatchEngine(bank, module.EngineLimits(threads=spec.threads, **memory))
    return engine


MAKE_ENGINE: MakeEngine = batch_engine


def serve_registry(spec: ServeSpec, place: Path, began: Callable[[Began], None]) -> None:
    """Serve the names of a registry until the process is asked to end.

    Raises:
        GraftworkError: the registry, the base or the address is not to be had.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(closing(bound(spec.host, spec.port)))
        registry = opened(place)
        stack.callback(registry.database.close)
        cache = Path(spec.cache or stack.enter_context(TemporaryDirectory(prefix="graftwork-serve-")))
        bank = _bank(spec)
        engine = MAKE_ENGINE(bank, spec)
        memory = {} if spec.adapter_memory is None else {"memory_bytes": spec.adapter_memory}
        name = base_name(spec.base)
        models = RegistryModels(registry, engine, bank, cache=cache, name=name, spec=ModelsSpec(**memory))
        parts = _parts(spec, bank, engine, models, registry)
        told = Began(address=address_of(listener), names=(name, *_names_in(registry)), key=None)
        serve(parts, listener, lambda: began(told))


def serve_folders(spec: ServeSpec, adapters: Sequence[str], began: Callable[[Began], None]) -> None:
    """Serve the base and adapters from folders, with a key made on the spot, until the process is asked to end.

    Raises:
        GraftworkError: an adapter, the base or the address is not to be had.
    """
    name = base_name(spec.base)
    folders = named_folders(adapters, name)
    with closing(bound(spec.host, spec.port)) as listener:
        bank = _bank(spec)
        loaded = local_models(bank, folders)
        models = LocalModels(bank, name, loaded, tenant=DEFAULT_TENANT, made_us=int(time.time() * 1e6))
        registry, key = passing_registry()
        parts = _parts(spec, bank, MAKE_ENGINE(bank, spec), models, registry)
        told = Began(address=address_of(listener), names=(name, *loaded), key=key)
        serve(parts, listener, lambda: began(told))


def passing_registry() -> tuple[Registry, str]:
    """A registry in memory that ends with the process, and the text of a key that may do everything in it."""
    registry = Registry(database=MemoryDatabase(), blobs=MemoryBlobs(_now), clock=_now)
    owner = getpass.getuser()
    return registry, new_key(registry, principal(owner, MAY), owner, list(MAY))


def base_name(ref: str) -> str:
    """What clients call a base: its own name, without where it comes from.

    >>> base_name("bundled:smollm2-135m-instruct"), base_name("org/model@main"), base_name("/bases/tiny")
    ('smollm2-135m-instruct', 'model', 'tiny')
    """
    return ref.removeprefix("bundled:").rstrip("/").rpartition("/")[2].partition("@")[0] or ref


def address_of(listener: Any) -> str:
    """Where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def speech_of(bank: AdapterBank) -> Speech:
    """How a bank's base writes and reads."""
    base = bank.base
    config = base.model.config.get_text_config()
    return Speech(
        chat=base.chat,
        texts=TokenTexts(base.chat.tokenizer),
        num_tokens=int(config.vocab_size),
        context_tokens=base.facts.context_tokens,
    )


def _bank(spec: ServeSpec) -> AdapterBank:
    logging.getLogger("graftwork.serving").setLevel(spec.logs.level.upper())
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    return AdapterBank(load_base(spec.base, dtype=spec.dtype))


def _parts(spec: ServeSpec, bank: AdapterBank, engine: Engine, models: ServedModels, registry: Registry) -> Parts:
    return Parts(
        spec=spec,
        speech=speech_of(bank),
        engine=engine,
        models=models,
        registry=registry,
        guard=GuardDoor(read_guard(Path(spec.guard))) if spec.guard else NoGuard(),
        limits=NoLimits(),
        watcher=NoWatcher(),
    )


def _names_in(registry: Registry) -> tuple[str, ...]:
    """Names of the default tenant that clients can ask for."""
    from graftwork.registry.naming import names

    reader = principal("server", ["viewer"])
    found: Mapping[str, Mapping[str, str]] = names(registry, reader)
    return tuple(name for name, stages in found.items() if "production" in stages)


def _now() -> datetime:
    return datetime.now(UTC)
