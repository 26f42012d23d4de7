"""Names to proved versions: resolved, shared, moved under traffic, refused with reasons, kept apart by tenant."""

import asyncio
import gc
import json
import shutil
import threading
import weakref

import pytest
import torch
from tests.support.registries import ROOT, hexed
from tests.support.versions_of import named, point, put_folder, write_lively

from graftwork.adapters.probing import logits_after
from graftwork.core.errors import (
    CapacityError,
    ConflictError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    OverloadedError,
    SpecError,
    WorkError,
)
from graftwork.registry import naming
from graftwork.registry.access.roles import principal
from graftwork.serving.models.proving import logits_of
from graftwork.serving.models.reading import read_lineage

OTHER = principal("olga", ["admin"], tenant="other")
LIMIT_S = 60
VIEWER = principal("vera", ["viewer"])
SIZE = 22_272
"""Bytes of one of the adapters here; the test that it is fails else."""
HELD = 2 * SIZE
"""With what an engine makes of it."""


def kinds(models):
    return [event.kind for event in models.events]


async def until(told):
    """Let everything else go on until it is so."""
    while not told():
        await asyncio.sleep(0.001)  # there is no event to wait for: what is waited for is what the test checks


def test_a_name_means_its_version_and_acts(run, serving, registry, adapter_of, bank, engine):
    version = named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            served = await models.acquire(ROOT, "triage")
            assert (served.name, served.version) == ("triage", version)
            said_V = await logits_of(engine, served, (5, 6, 7))
            models.release(served)
            return served, said_V, kinds(models)

    served, said_V, told = run(scenario())
    handle = bank.load(adapter_of(1))
    torch.testing.assert_close(said_V, logits_after(bank, handle, (5, 6, 7)), atol=1e-4, rtol=0)
    assert served.content == bank[handle].digest()
    assert bank[handle].num_bytes == SIZE
    assert told == ["loaded"]


def test_the_base_has_its_own_name_and_needs_no_memory(run, serving, bank):
    async def scenario():
        async with serving() as models:
            served = await models.acquire(ROOT, "base")
            models.release(served)
            return served, models.report()

    served, report = run(scenario())
    assert (served.version, served.row, served.content) == (None, None, bank.base.fingerprint.weights)
    assert (report.resident, report.used_bytes) == (0, 0)


def test_proofs_share_no_keys_and_values_with_anybody(run, serving, registry, adapter_of, engine, monkeypatch):
    """Else the ones of an earlier load would be proved, and those of a refused one found by later requests."""
    named(registry, "triage", adapter_of(1))
    asks, submit = [], engine.submit
    monkeypatch.setattr(engine, "submit", lambda ask, told: (asks.append(ask), submit(ask, told)))

    async def scenario():
        async with serving() as models:
            for _ in range(2):
                models.release(await models.acquire(ROOT, "triage"))
                await models.unload(ROOT, "triage")
            return {one.content for one in await models.listed(ROOT)}

    known = run(scenario())
    contents = [ask.served.content for ask in asks]
    assert len(contents) == len(set(contents)) == 9, "four of the base, four of the adapter; one when it comes back"
    assert known.isdisjoint(contents)
    assert all(ask.is_urgent and ask.keeps_logits and ask.sampling.max_new_tokens == 1 for ask in asks)


def test_one_that_comes_back_and_does_not_act_is_refused(run, serving, registry, adapter_of, bank, monkeypatch):
    """It was proved whole before: the one prompt that it is asked again must be enough."""
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            models.release(await models.acquire(ROOT, "triage"))
            await models.unload(ROOT, "triage")
            add = bank.add

            def silenced(adapter, name):
                for _, tensor in adapter.tensors():
                    tensor.data.zero_()
                return add(adapter, name=name)

            monkeypatch.setattr(bank, "add", silenced)
            with pytest.raises(IntegrityError, match="does not act"):
                await models.acquire(ROOT, "triage")

    run(scenario())


def test_stages_and_beginnings_of_digests_are_names_too(run, serving, registry, adapter_of):
    first = named(registry, "triage", adapter_of(1))
    second = put_folder(registry, adapter_of(2))
    point(registry, "triage", second, stage="canary")
    third = put_folder(registry, adapter_of(3))
    point(registry, "triage", third, stage="candidate")
    stranger = put_folder(registry, adapter_of(4))

    async def scenario():
        async with serving() as models:
            texts = ["triage", "triage:production", "triage:canary", "triage:candidate", f"triage@{second[:8]}"]
            means = [(await models.acquire(ROOT, text)).version for text in texts]
            missing = ["triage:retired", "triage@ffffff", f"triage@{stranger[:8]}", "Triage", "triage@12", "nobody"]
            for text in missing:
                with pytest.raises(NotFoundError, match=f"no model '{text}'"):
                    await models.acquire(ROOT, text)
            return means

    assert run(scenario()) == [first, first, second, third, second]


def test_another_tenant_s_name_is_as_one_that_is_not_there(run, serving, registry, adapter_of):
    version = named(registry, "triage", adapter_of(1))
    named(registry, "refunds", adapter_of(2), OTHER)

    async def words(models, who, text):
        with pytest.raises(NotFoundError) as raised:
            await models.acquire(who, text)
        return str(raised.value).replace(text, "X")

    async def scenario():
        async with serving() as models:
            models.release(await models.acquire(ROOT, "triage"))
            assert await words(models, OTHER, "triage") == await words(models, OTHER, "quadro")
            assert await words(models, OTHER, f"refunds@{version[:8]}") == await words(models, OTHER, "refunds@ffffff")
            assert [one.name for one in await models.listed(OTHER)] == ["base", "refunds"]
            with pytest.raises(NotFoundError, match="Did you mean 'refunds'"):
                await models.acquire(OTHER, "refund")

    run(scenario())


def test_a_name_that_was_made_a_moment_ago_is_known(run, serving, registry, adapter_of):
    async def scenario():
        async with serving() as models:
            with pytest.raises(NotFoundError):
                await models.acquire(ROOT, "triage")
            version = named(registry, "triage", adapter_of(1))
            assert (await models.acquire(ROOT, "triage")).version == version

    run(scenario())


def test_many_who_ask_at_once_share_one_load(run, serving, registry, adapter_of):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            many = await asyncio.gather(*(models.acquire(ROOT, "triage") for _ in range(20)))
            (resident,) = models.memory.state.residents
            assert resident.holders == 20
            for served in many:
                models.release(served)
            assert models.memory.state.residents[0].holders == 0
            return kinds(models)

    assert run(scenario()) == ["loaded"]


def test_a_move_is_proved_before_it_is_served_and_requests_keep_their_version(
    run, serving, registry, adapter_of, engine
):
    first = named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            old = await models.acquire(ROOT, "triage")
            second = named(registry, "triage", adapter_of(2))
            engine.pause()  # proofs wait, and with them the new version
            await models.refresh()
            await until(lambda: len(models.memory.state.residents) == 2)
            during = await models.acquire(ROOT, "triage")
            engine.pause(is_paused=False)
            await until(lambda: "moved" in kinds(models))
            new = await models.acquire(ROOT, "triage")
            assert [one.version for one in (old, during, new)] == [first, first, second]
            assert len(models.memory.versions) == 2
            naming.rollback(registry, ROOT, "triage", expected=second)
            await models.refresh()
            assert (await models.acquire(ROOT, "triage")).version == first  # it was there: one move of a pointer
            return kinds(models)

    assert run(scenario()) == ["loaded", "loaded", "moved", "moved"]


def test_moves_of_others_are_seen_by_watching(run, serving, registry, adapter_of):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving(poll_s=0.01) as models:
            models.release(await models.acquire(ROOT, "triage"))
            second = named(registry, "triage", adapter_of(2))
            await until(lambda: "moved" in kinds(models))
            assert (await models.acquire(ROOT, "triage")).version == second
            naming.retire(registry, ROOT, "triage", expected=second)
            await until(lambda: not models._answered_by)
            with pytest.raises(NotFoundError, match="no model 'triage'"):
                await models.acquire(ROOT, "triage")

    run(scenario())


def test_a_registry_that_cannot_be_read_is_told_once_and_what_is_there_answers(run, serving, registry, adapter_of):
    version = named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving(poll_s=0.01) as models:
            models.release(await models.acquire(ROOT, "triage"))
            reading = registry.database.reading

            def gone():
                raise WorkError("the database cannot be reached")

            registry.database.reading = gone
            await until(lambda: "failed" in kinds(models))
            assert (await models.acquire(ROOT, "triage")).version == version
            registry.database.reading = reading
            named(registry, "triage", adapter_of(2))
            await until(lambda: "moved" in kinds(models))
            return kinds(models)

    assert run(scenario()) == ["loaded", "failed", "loaded", "moved"]


@pytest.fixture
def copied(adapter_of, tmp_path):
    """`copied(seed)`: an adapter's folder that may be spoilt."""

    def copy(seed=2):
        return shutil.copytree(adapter_of(seed), tmp_path / f"copy-{seed}")

    return copy


def spoil_fingerprint(folder, change):
    raw = json.loads((folder / "logits.json").read_bytes())
    change(raw)
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (folder / "logits.json").write_text(text, "utf-8")


def renamed_prefix(folder):
    """As a tool writes it that calls the modules otherwise: the same length, another place."""
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"base_model.model.model.layers", b"base_model.model.modal.layers"))


def flipped(folder):
    path = folder / "adapter_model.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-9] ^= 1
    path.write_bytes(whole)


PARTS = ("weights", "config", "tokenizer", "template")
REFUSED = {
    "renamed": (renamed_prefix, {}, "does not fit this base: base_model.model.model.layers.0"),
    "flipped": (flipped, {}, "its card says"),
    "no fingerprint": (lambda folder: (folder / "logits.json").unlink(), {}, "no fingerprint of logits"),
    "other base": (
        lambda _: None,
        {
            "base": {
                "ref": "elsewhere",
                **{part: hexed(part) for part in ("weights", "config", "tokenizer", "template")},
            }
        },
        "differ in weights, config, tokenizer, template",
    ),
    "other content": (lambda _: None, {"content": hexed("content")}, "its card is of another adapter"),
    "a model": (lambda _: None, {"kind": "model"}, "it is a whole model"),
    "stands on what is not there": (lambda _: None, {"on": hexed("on")}, "which the registry does not hold"),
    "another's fingerprint": (
        lambda folder: spoil_fingerprint(folder, lambda raw: raw.update(adapter=hexed("another"))),
        {},
        "is the fingerprint of another adapter",
    ),
    "a fingerprint on another base": (
        lambda folder: spoil_fingerprint(folder, lambda raw: raw.update(base=hexed("another"))),
        {},
        "or of one on another base",
    ),
    "other tokens": (
        lambda folder: spoil_fingerprint(folder, lambda raw: raw["asked"][0]["ids"].__setitem__(0, 100_000)),
        {},
        "names tokens that the base does not have",
    ),
    "other answers": (
        lambda folder: spoil_fingerprint(
            folder, lambda raw: raw["asked"][2].update(adapter=[x + 1 for x in raw["asked"][2]["adapter"]])
        ),
        {},
        "it acts otherwise than when it was trained",
    ),
    "another base's answers": (
        lambda folder: spoil_fingerprint(
            folder, lambda raw: raw["asked"][2].update(base=[x + 1 for x in raw["asked"][2]["base"]])
        ),
        {},
        "the base answers otherwise than when it was trained",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_and_leaves_the_old_one_serving(
    run, serving, registry, adapter_of, copied, case, tmp_path
):
    spoil, asked, words = REFUSED[case]
    first, bad = named(registry, "triage", adapter_of(1)), copied()
    spoil(bad)

    async def scenario():
        async with serving() as models:
            models.release(await models.acquire(ROOT, "triage"))
            second = named(registry, "triage", bad, **asked)
            await models.refresh()
            await until(lambda: "kept" in kinds(models))
            assert (await models.acquire(ROOT, "triage")).version == first
            (listed,) = [one for one in await models.listed(ROOT) if one.name == "triage"]
            assert (listed.version, listed.answered_by, listed.is_resident) == (second, first, False)
            assert words in listed.refused
            assert str(bad.parent) not in listed.refused  # where a server keeps its files is nobody's business
            kept = next(event for event in models.events if event.kind == "kept")
            assert (kept.name, kept.version, words in kept.reason) == ("triage", second, True)
            with pytest.raises(IntegrityError, match=words):
                await models.acquire(ROOT, f"triage@{second}")
            assert kinds(models).count("refused") == 1  # told again from what is known
            with pytest.raises(IntegrityError, match=words):
                await models.load(ROOT, "triage")
            assert kinds(models).count("refused") == 2  # tried again because an operator asked
            assert [one.version for one in models.memory.state.residents] == [first]

    run(scenario())


def test_without_an_old_one_what_is_refused_is_refused_to_each_who_asks(run, serving, registry, adapter_of, bank):
    version = named(registry, "triage", adapter_of(1, strength=0))

    async def scenario():
        async with serving() as models:
            asked = [models.acquire(ROOT, "triage") for _ in range(3)]
            said = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(one) for one in said} == {IntegrityError}
            assert f"version {version[:12]} is refused: it moves its base's logits by 0" in str(said[0])
            assert kinds(models) == ["refused"]
            assert models.memory.state.used_bytes == 0

    run(scenario())
    assert len(bank) == 0


def test_a_blob_that_is_not_what_it_was_is_refused_and_one_that_is_restored_serves(run, serving, registry, adapter_of):
    named(registry, "triage", adapter_of(1))
    digest = next(d for d, (content, _) in registry.blobs.kept.items() if b'"peft_type"' in content)
    whole = registry.blobs.kept[digest]

    async def scenario():
        async with serving(refused_s=0) as models:
            registry.blobs.kept[digest] = (whole[0].replace(b"LORA", b"L0RA"), whole[1])
            with pytest.raises(IntegrityError, match=f"blob {digest} is not what it was"):
                await models.acquire(ROOT, "triage")
            registry.blobs.kept[digest] = whole
            models.release(await models.acquire(ROOT, "triage"))
            assert (await models.listed(ROOT))[1].refused == ""

    run(scenario())


def test_one_that_stands_on_another_is_loaded_with_it(run, serving, registry, adapter_of, load, tmp_path, engine):
    lower = adapter_of(1)
    upper = write_lively(tmp_path / "upper", load(dtype="float32"), 2, below=[lower])
    put_folder(registry, lower)
    version = named(registry, "triage", upper)

    async def scenario():
        async with serving() as models:
            served = await models.acquire(ROOT, "triage")
            assert (served.version, len(served.row)) == (version, 2)
            assert served.content not in {one.content for one in await models.listed(ROOT)}
            assert models.memory.state.used_bytes == 2 * HELD
            models.release(served)
            assert await models.unload(ROOT, "triage") == 2 * HELD

    run(scenario())


def test_what_was_given_up_is_refused_and_not_stood_on(run, serving, registry, adapter_of, load, tmp_path):
    lower = adapter_of(1)
    upper = write_lively(tmp_path / "upper", load(dtype="float32"), 2, below=[lower])
    versions = {"lower": named(registry, "lower", lower), "upper": named(registry, "upper", upper)}

    def give_up(version):
        with registry.database.writing() as rows:
            rows.update("version", {"digest": version}, {"collected_us": 5})

    async def scenario():
        async with serving() as models:
            give_up(versions["lower"])
            with pytest.raises(IntegrityError, match=r"the files of version \w+ were given up"):
                await models.acquire(ROOT, "lower")
            with pytest.raises(IntegrityError, match="which the registry does not hold"):
                await models.acquire(ROOT, "upper")

    run(scenario())


def test_the_least_recently_used_leaves_and_what_is_held_does_not(run, serving, registry, adapter_of, bank):
    versions = {name: named(registry, name, adapter_of(seed)) for seed, name in enumerate("abc")}

    async def scenario():
        async with serving(memory=2 * HELD, patience_s=3600) as models:
            for name in "ab":
                models.release(await models.acquire(ROOT, name))
            held = await models.acquire(ROOT, "a")
            models.release(await models.acquire(ROOT, "c"))
            assert set(models.memory.versions) == {versions["a"], versions["c"]}
            second = await models.acquire(ROOT, "c")
            with pytest.raises(OverloadedError, match="could not be brought into memory within"):
                await models.loads.held(ROOT, versions["b"], wait_s=0.05)  # the time that it waits is the matter
            assert models.report().waiting == 0
            models.release(second)
            again = await models.acquire(ROOT, "b")
            assert set(models.memory.versions) == {versions["a"], versions["b"]}
            assert len(bank) == 2
            for served in (held, again):
                models.release(served)
            return [(event.kind, event.version) for event in models.events if event.kind == "evicted"]

    assert run(scenario()) == [("evicted", versions["b"]), ("evicted", versions["c"])]


def test_under_traffic_that_never_ends_one_that_waits_for_too_long_gets_room(run, serving, registry, adapter_of):
    busy, _ = (named(registry, name, adapter_of(seed)) for seed, name in enumerate("ab"))

    async def scenario():
        async with serving(memory=HELD, patience_s=0.05) as models:
            held, later = [await models.acquire(ROOT, "a")], []
            waits = asyncio.create_task(models.acquire(ROOT, "b"))
            while not waits.done():
                here = models.memory.state.find(busy)
                if here and here.is_open:  # the next request comes before the last one ends
                    held.append(await models.acquire(ROOT, "a"))
                    models.release(held.pop(0))
                elif held:
                    later.append(asyncio.create_task(models.acquire(ROOT, "a")))
                    models.release(held.pop())
                await asyncio.sleep(0.001)  # traffic is the matter here
            models.release(waits.result())
            assert [(await one).version for one in later] == [busy]
            return kinds(models)

    assert run(scenario()) == ["loaded", "evicted", "loaded", "evicted", "loaded"]


def test_one_that_others_begin_to_wait_for_while_it_comes_answers_first(run, serving, registry, adapter_of, engine):
    first, second = (named(registry, name, adapter_of(seed)) for seed, name in enumerate("ab"))

    async def scenario():
        async with serving(memory=HELD, patience_s=0) as models:
            engine.pause()
            waits = [asyncio.create_task(models.acquire(ROOT, "a"))]
            await until(lambda: models.memory.state.find(first))
            waits.append(asyncio.create_task(models.acquire(ROOT, "b")))
            await until(lambda: models.memory.state.residents[0].is_closed)
            engine.pause(is_paused=False)
            for wait, version in zip(waits, (first, second), strict=True):
                served = await wait
                assert served.version == version
                models.release(served)
            return kinds(models)

    assert run(scenario()) == ["loaded", "evicted", "loaded"]


def test_what_is_refused_after_the_old_one_left_brings_the_old_one_back(run, serving, registry, adapter_of, copied):
    first, bad = named(registry, "triage", adapter_of(1)), copied()
    flipped(bad)

    async def scenario():
        async with serving() as models:
            models.release(await models.acquire(ROOT, "triage"))
            assert await models.unload(ROOT, "triage") == HELD
            named(registry, "triage", bad)
            await models.refresh()
            assert (await models.acquire(ROOT, "triage")).version == first
            assert kinds(models) == ["loaded", "evicted", "refused", "loaded"]

    run(scenario())


def test_one_who_goes_away_as_it_is_given_holds_nothing(run, serving, registry, adapter_of):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            waits = asyncio.create_task(models.acquire(ROOT, "triage"))
            given = models.memory.put
            models.memory.put = lambda made: (given(made), waits.cancel())  # as it is given, before it is taken
            with pytest.raises(asyncio.CancelledError):
                await waits
            assert [one.holders for one in models.memory.state.residents] == [0]

    run(scenario())


def test_nothing_is_read_before_what_made_room_for_it_has_left(
    run, serving, registry, adapter_of, bank, engine, monkeypatch
):
    named(registry, "a", adapter_of(1))
    second, seen, goes_on = named(registry, "b", adapter_of(2)), [], threading.Event()

    def watched(*given):
        seen.append(len(bank))
        return read_lineage(*given)

    async def scenario():
        async with serving(memory=HELD) as models:
            models.release(await models.acquire(ROOT, "a"))
            monkeypatch.setattr("graftwork.serving.models.loading.read_lineage", watched)
            engine.between_steps(lambda: goes_on.wait(LIMIT_S))
            unloading = asyncio.create_task(models.unload(ROOT, "a"))
            await until(lambda: models.memory.state.residents == ())
            waits = asyncio.create_task(models.acquire(ROOT, "b"))
            await until(lambda: models.memory.state.find(second))
            await asyncio.sleep(0.05)  # time for the wrong order, if it were possible
            goes_on.set()
            assert await unloading == HELD
            await waits

    run(scenario())
    assert seen == [0]


def test_what_can_never_fit_is_told(run, serving, registry, adapter_of):
    named(registry, "a", adapter_of(1))
    named(registry, "b", adapter_of(2))

    async def scenario():
        async with serving(memory=HELD - 1) as models:
            with pytest.raises(CapacityError, match=r"larger than the 43\.5 KiB"):
                await models.acquire(ROOT, "a")
        async with serving(memory=HELD) as models:
            await models.pin(ROOT, "a")
            with pytest.raises(CapacityError, match=r"43\.5 KiB of which are pinned"):
                await models.acquire(ROOT, "b")

    run(scenario())


def test_a_pin_follows_its_name(run, serving, registry, adapter_of):
    first = named(registry, "a", adapter_of(1))
    named(registry, "b", adapter_of(3))

    def pins(models):
        return [one.version for one in models.memory.state.residents if one.is_pinned]

    async def scenario():
        async with serving(memory=2 * HELD) as models:
            assert (await models.pin(ROOT, "a")).version == first
            with pytest.raises(ConflictError, match=r"'a' is pinned\. Unpin it first"):
                await models.unload(ROOT, "a")
            second = named(registry, "a", adapter_of(2))
            await models.refresh()
            await until(lambda: "moved" in kinds(models))
            assert pins(models) == [second]
            models.release(await models.acquire(ROOT, "b"))
            assert first not in models.memory
            await models.unpin(ROOT, "a")
            assert pins(models) == []
            with pytest.raises(NotFoundError, match="'a' is not pinned"):
                await models.unpin(ROOT, "a")
            with pytest.raises(SpecError, match="a name, or a name and a stage"):
                await models.pin(ROOT, f"a@{first[:8]}")

    run(scenario())


def test_unloading_waits_for_requests_and_frees_what_it_says(run, serving, registry, adapter_of, bank):
    version = named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            served = await models.acquire(ROOT, "triage")
            gone = weakref.ref(bank[served.row])
            unloading = asyncio.create_task(models.unload(ROOT, "triage"))
            await until(lambda: models.memory.state.residents[0].is_leaving)
            comes_again = asyncio.create_task(models.acquire(ROOT, "triage"))
            await until(lambda: models.loads.num_loading)
            assert not unloading.done()
            models.release(served)
            assert await unloading == HELD
            assert (await comes_again).version == version
            gc.collect()
            assert gone() is None

    run(scenario())


def test_what_operators_do_needs_their_role(run, serving, registry, adapter_of):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            models.release(await models.acquire(VIEWER, "triage"))
            for act in (models.load, models.pin, models.unpin, models.unload):
                with pytest.raises(DeniedError, match="vera may not promote"):
                    await act(VIEWER, "triage")

    run(scenario())


def test_who_goes_away_while_waiting_leaves_nothing_held(run, serving, registry, adapter_of, engine):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            engine.pause()
            waits = [asyncio.create_task(models.acquire(ROOT, "triage")) for _ in range(3)]
            await until(lambda: models.memory.state.residents)
            waits[0].cancel()
            engine.pause(is_paused=False)
            done = await asyncio.gather(*waits, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError)
            assert models.memory.state.residents[0].holders == 2

    run(scenario())


def test_an_engine_that_is_closing_refuses_nothing_for_good(run, serving, registry, adapter_of, engine):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            engine.drain()
            with pytest.raises(OverloadedError):
                await models.acquire(ROOT, "triage")
            assert models.loads.failures == {}
            assert models.memory.state.residents == ()

    run(scenario())


def test_releasing_in_another_thread_comes_to_the_loop(run, serving, registry, adapter_of):
    named(registry, "triage", adapter_of(1))

    async def scenario():
        async with serving() as models:
            served = await models.acquire(ROOT, "triage")
            await asyncio.to_thread(models.release, served)
            await until(lambda: not models.memory.state.residents[0].holders)

    run(scenario())
