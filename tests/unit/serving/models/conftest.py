"""A registry in memory, an engine that really runs a tiny base, and adapters that act."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.support.registries import memory_registry
from tests.support.solo_engine import SoloEngine
from tests.support.versions_of import write_lively

from graftwork.adapters.bank import AdapterBank
from graftwork.core.spec import parse
from graftwork.serving.models.models import RegistryModels
from graftwork.serving.models.spec import ModelsSpec
from graftwork.serving.models.store import BankStore

LIMIT_S = 120


@pytest.fixture(scope="session")
def adapter_of(load, tmp_path_factory):
    """`adapter_of(seed, ...)`: the folder of an adapter with its fingerprint. Not to be written to."""
    root, base, made = tmp_path_factory.mktemp("lively"), load(dtype="float32"), {}

    def folder(seed=0, **asked):
        key = (seed, *sorted((name, str(value)) for name, value in asked.items()))
        if key not in made:
            made[key] = write_lively(root / f"{len(made)}", base, seed, **asked)
        return made[key]

    return folder


@pytest.fixture
def registry():
    return memory_registry()[0]


@pytest.fixture
def bank(load):
    return AdapterBank(load(dtype="float32"))


@pytest.fixture
def engine(bank):
    engine = SoloEngine(bank)
    yield engine
    engine.close()


@pytest.fixture
def serving(registry, engine, bank, tmp_path):
    """`async with serving(...) as models`: models of the registry; what was told is in `models.events`."""

    @asynccontextmanager
    async def begin(**asked):
        events = []
        spec = parse(ModelsSpec, {"poll_s": 3600, "wait_s": 60, "refused_s": 3600, **asked})
        async with RegistryModels(
            registry, engine, BankStore(bank), cache=tmp_path / "cache", spec=spec, told=events.append
        ) as models:
            models.events = events
            yield models

    return begin


@pytest.fixture
def run():
    """`run(coroutine)`: to its end, or to that of patience."""

    def to_the_end(coroutine):
        async def limited():
            async with asyncio.timeout(LIMIT_S):
                return await coroutine

        return asyncio.run(limited())

    return to_the_end
