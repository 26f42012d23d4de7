"""Everything at once: requests that come and give up, names that move, memory for a third of what is asked."""

import asyncio
import random

import pytest
import torch
from tests.support.registries import ROOT
from tests.support.versions_of import named, point, put_folder

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.probing import logits_after
from graftwork.core.errors import OverloadedError
from graftwork.registry import naming
from graftwork.serving.models.proving import logits_of

SIZE, PROMPT = 22_272, (5, 6, 7, 8)
NAMES, VERSIONS = "abc", 6


class WatchedBank(AdapterBank):
    """A bank that says the most bytes it ever held."""

    most_bytes = 0

    def add(self, adapter, *, name):
        """As ever."""
        handle = super().add(adapter, name=name)
        self.most_bytes = max(self.most_bytes, sum(self._bytes.values()))
        return handle


@pytest.fixture
def bank(load):
    return WatchedBank(load(dtype="float32"))


@pytest.fixture
def expected(load, adapter_of):
    """What each adapter says to the prompt, by its content."""
    bank = AdapterBank(load(dtype="float32"))
    handles = [bank.load(adapter_of(seed)) for seed in range(VERSIONS)]
    return {bank[handle].digest(): logits_after(bank, handle, PROMPT) for handle in handles}


async def asked(models, name, *, goes_away_s):
    """A request; None when it was given no version, because the client went away or nothing was free in time."""
    acquiring = asyncio.create_task(models.acquire(ROOT, name))
    if goes_away_s is not None:
        await asyncio.sleep(goes_away_s)  # a client goes away at any moment
        acquiring.cancel()
    try:
        return await acquiring
    except (asyncio.CancelledError, OverloadedError):
        return None


@pytest.mark.parametrize("seed", range(3))
def test_everybody_gets_the_version_of_the_name_within_memory(
    run, serving, registry, adapter_of, engine, bank, expected, seed
):
    draw = random.Random(seed)
    versions = [put_folder(registry, adapter_of(number)) for number in range(VERSIONS)]
    meant = {name: {versions[number]} for number, name in enumerate(NAMES)}
    for number, name in enumerate(NAMES):
        point(registry, name, versions[number])

    async def one_request(models, number):
        name = NAMES[number % len(NAMES)]
        served = await asked(models, name, goes_away_s=None if number % 5 else draw.random() / 100)
        if served is None:
            return 0
        assert served.version in meant[name]
        said_V = await logits_of(engine, served, PROMPT)
        torch.testing.assert_close(said_V, expected[served.content], atol=1e-4, rtol=0)
        models.release(served)
        return 1

    async def moves(models):
        for _ in range(8):
            name, version = draw.choice(NAMES), draw.choice(versions)
            now = naming.names(registry, ROOT)[name]["production"]
            if now == version:
                continue
            meant[name].add(version)
            point(registry, name, version)
            await models.refresh()
            await asyncio.sleep(0.02)  # between two moves there is traffic

    async def scenario():
        async with serving(memory=4 * SIZE + 100, patience_s=0.05, wait_s=30) as models:
            moving = asyncio.create_task(moves(models))
            told = []
            for start in range(0, 150, 15):
                told += await asyncio.gather(*(one_request(models, start + i) for i in range(15)))
            await moving
            while models.loads.num_loading or models._following:
                await asyncio.sleep(0.001)  # what nobody waits for any more comes to its end by itself
            state = models.memory.state
            assert sum(told) >= 120  # all but those that went away
            assert [one.holders for one in state.residents] == [0] * len(state.residents)
            assert state.waiting == ()
            assert {one.version for one in state.residents} == set(models.memory.versions)
            assert len(bank) == len(state.residents)
            assert not [event for event in models.events if event.kind in ("refused", "failed")]

    run(scenario())
    assert bank.most_bytes <= 2 * SIZE + 100


def test_a_server_that_ends_in_the_middle_tells_everybody(run, serving, registry, adapter_of, engine):
    named(registry, "a", adapter_of(1))
    engine.pause()

    async def scenario():
        async with serving() as models:
            waits = [asyncio.create_task(models.acquire(ROOT, "a")) for _ in range(3)]
            while not models.memory.state.residents:
                await asyncio.sleep(0.001)  # until it is on its way
        return await asyncio.gather(*waits, return_exceptions=True)

    assert {type(one) for one in run(scenario())} == {OverloadedError}
