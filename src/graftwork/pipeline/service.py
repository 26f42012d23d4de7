"""A server put together: base, bank, engine, models, what watches it, keys, and the HTTP side over them."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import torch

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.pipeline.answering import Answering
from graftwork.pipeline.local_models import LocalModel, LocalModels, local_models, named_folders, refuse_unproved
from graftwork.pipeline.operating import Kept, ModelEvents, Ready, Stands, made_ready, watched
from graftwork.pipeline.replaying import base_note, engine_note
from graftwork.pipeline.serve_settings import refuse_unused
from graftwork.pipeline.vllm_engine import vllm_answering
from graftwork.registry.access.keys import new_key
from graftwork.registry.access.roles import DEFAULT_TENANT, MAY, principal
from graftwork.registry.blobs.memory import MemoryBlobs
from graftwork.registry.databases.memory import MemoryDatabase
from graftwork.registry.place import opened
from graftwork.registry.state import Registry
from graftwork.serving.engine.engine import BatchEngine, EngineLimits
from graftwork.serving.guard.guard import bare
from graftwork.serving.http.draining import Service
from graftwork.serving.http.parts import Parts, Speech
from graftwork.serving.http.seams import ServedModels
from graftwork.serving.http.server import bound, serve
from graftwork.serving.http.text.characters import TokenTexts
from graftwork.serving.models.models import RegistryModels
from graftwork.serving.models.names import names_of
from graftwork.serving.models.store import BankStore
from graftwork.serving.operations.lines import Lines
from graftwork.serving.operations.logs import AnswerLog, logging_as
from graftwork.serving.operations.metrics import ModelsStand
from graftwork.serving.operations.receipts import Notary
from graftwork.serving.spec import EngineSpec, ServeSpec

UNSTEADY = (
    "Here this base's layers give a row other last bits beside other rows, however rows are filled up: the last bits "
    "of an answer may depend on what else is under way, and a replay may depart from its receipt."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Began:
    """What is said when a server takes requests.

    Attributes:
        names: that can be asked for.
        key: made for this run alone, where there is no registry with keys.
        receipts: where they are kept; None where none are.
        notes: what else whoever starts it should know, in words.
    """

    address: str
    names: tuple[str, ...]
    key: str | None
    receipts: Kept | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A server that is being put together.

    Attributes:
        stack: closes what is open, the last first.
    """

    spec: ServeSpec
    stack: ExitStack
    listener: socket
    log: AnswerLog
    lines: Lines
    ready: Ready
    service: Service = field(default_factory=Service)


def serve_registry(spec: ServeSpec, place: Path, began: Callable[[Began], None]) -> None:
    """Serve the names of a registry until the process is asked to end.

    Raises:
        GraftworkError: the registry, the base, a folder or the address is not to be had.
    """
    cache = spec.models.cache
    beside = Path(cache) if cache else place.resolve()
    with _opening(spec, beside.with_name(f"{beside.name}-receipts")) as opening:
        registry = opened(place)
        opening.stack.callback(registry.database.close)
        folder = Path(cache or opening.stack.enter_context(TemporaryDirectory(prefix="graftwork-serve-")))
        answering = _answering(opening)
        events, name = ModelEvents(opening.log), base_name(spec.base)
        engine, store = answering.engine, answering.store
        models = RegistryModels(registry, engine, store, cache=folder, name=name, spec=spec.models, told=events.told)

        def stand() -> ModelsStand:
            report = models.report()
            where = {"memory": report.used_bytes, "disk": report.disk_bytes}
            return ModelsStand(resident_bytes=where, events=dict(events.counts))

        parts = _parts(opening, answering, models, registry, stand)
        served = (name, *names_of(registry, principal("server", ["viewer"])).texts())
        notes = (*_unguarded(opening.ready, served), *answering.warnings)
        _serve(opening, parts, began, names=served, notes=notes)


def serve_folders(spec: ServeSpec, adapters: Sequence[str], began: Callable[[Began], None]) -> None:
    """Serve the base and adapters from folders, with a key made on the spot, until the process is asked to end.

    Raises:
        GraftworkError: an adapter, the base, a folder or the address is not to be had, or a setting changes nothing.
    """
    refuse_unused(spec)
    name = base_name(spec.base)
    folders = named_folders(adapters, name)
    with _opening(spec, None) as opening:
        if nowhere := _unguarded(opening.ready, (name, *folders)):
            raise SpecError(Problem("guard", spec.guard, "policies of models that are served", one) for one in nowhere)
        loaded: dict[str, LocalModel] = {}
        answering = _answering(opening, lambda bank: loaded.update(local_models(bank, folders)))
        bank = answering.bank
        asyncio.run(refuse_unproved(answering.engine, bank, loaded))
        models = LocalModels(bank, name, loaded, tenant=DEFAULT_TENANT, made_us=int(time.time() * 1e6))
        registry, key = passing_registry()
        sizes = {"memory": sum(model.num_bytes for model in loaded.values())}
        parts = _parts(opening, answering, models, registry, lambda: ModelsStand(resident_bytes=sizes))
        notes = [
            f"{name} is not proved to act as in training: {one.unproved}."
            for name, one in loaded.items()
            if one.unproved
        ]
        _serve(opening, parts, began, names=(name, *loaded), key=key, notes=(*notes, *answering.warnings))


def batch_engine(bank: AdapterBank, spec: EngineSpec) -> BatchEngine:
    """The engine that answers many at once, within the limits that are asked for."""
    limits = EngineLimits(
        cache_bytes=spec.kv_memory,
        max_running=spec.max_running,
        max_waiting=spec.max_waiting,
        read_tokens=spec.read_tokens,
        threads=spec.threads,
        packs_weights=spec.packs_weights,
    )
    return BatchEngine(bank, limits)


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


def address_of(listener: socket) -> str:
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


def steadiness(multiple: int | None) -> tuple[str, ...]:
    """What whoever starts a server is told about last bits; `multiple` is an engine's."""
    return (UNSTEADY,) if multiple is None else ()


@contextmanager
def _opening(spec: ServeSpec, receipts: Path | None) -> Iterator[Opening]:
    """What needs no base comes first, so that what is wrong with it is told at once."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(bound(spec.host, spec.port)))
        log, lines = stack.enter_context(logging_as(spec.logs))
        ready = made_ready(stack, spec, receipts)
        yield Opening(spec=spec, stack=stack, listener=listener, log=log, lines=lines, ready=ready)


def _answering(opening: Opening, filled: Callable[[AdapterBank], None] = lambda _: None) -> Answering:
    """What the settings ask for; a bank of our own is `filled` before its engine begins."""
    spec = opening.spec
    opening.log.tell("info", "loading the base", base=spec.base, dtype=spec.dtype, engine=spec.engine.kind)
    answering = _our_own(spec, spec.engine, filled) if isinstance(spec.engine, EngineSpec) else vllm_answering(spec)
    opening.stack.callback(answering.engine.close)
    return answering


def _our_own(spec: ServeSpec, asked: EngineSpec, filled: Callable[[AdapterBank], None]) -> Answering:
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    bank = AdapterBank(load_base(spec.base, dtype=spec.dtype))
    filled(bank)
    engine = batch_engine(bank, asked)
    return Answering(
        bank=bank,
        engine=engine,
        store=BankStore(bank),
        note=engine_note(bank, engine),
        context_tokens=bank.base.facts.context_tokens,
        warnings=steadiness(engine.multiple),
    )


def _parts(
    opening: Opening,
    answering: Answering,
    models: ServedModels,
    registry: Registry,
    stand: Callable[[], ModelsStand],
) -> Parts:
    service, lines = opening.service, opening.lines
    stands = Stands(
        engine=answering.engine.report,
        models=stand,
        is_draining=lambda: service.is_draining,
        lost_lines=lambda: lines.lost,
    )
    base, computing = base_note(answering.bank), answering.note
    return Parts(
        spec=opening.spec,
        speech=replace(speech_of(answering.bank), context_tokens=answering.context_tokens),
        engine=answering.engine,
        models=models,
        registry=registry,
        service=service,
        **watched(
            opening.stack, opening.spec, opening.ready, lambda key: Notary(base, computing, key), opening.log, stands
        ),
    )


def _serve(
    opening: Opening,
    parts: Parts,
    began: Callable[[Began], None],
    *,
    names: tuple[str, ...],
    notes: tuple[str, ...],
    key: str | None = None,
) -> None:
    kept = opening.ready.kept
    told = Began(address=address_of(opening.listener), names=names, key=key, receipts=kept, notes=notes)

    def say() -> None:
        opening.log.tell("info", "serving", address=told.address, names=list(told.names))
        for note in (*told.notes, *((kept.repaired,) if kept and kept.repaired else ())):
            opening.log.tell("warning", note)
        began(told)

    serve(parts, opening.listener, say)
    opening.log.tell("info", "ended")


def _unguarded(ready: Ready, served: Sequence[str]) -> tuple[str, ...]:
    """What is said of policies whose model is not served now, such as one that is misspelt."""
    asked = ready.guard.names if ready.guard else ()
    return tuple(
        f"The guard has a policy for {name!r}, which is not served now. {did_you_mean(bare(name), served)}".strip()
        for name in asked
        if bare(name) not in {bare(one) for one in served}
    )


def _now() -> datetime:
    return datetime.now(UTC)
