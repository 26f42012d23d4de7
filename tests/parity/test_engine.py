"""The engine: what it says is what the base says with the adapter, token after token, alone and among others."""

import random

import pytest
import torch
from tests.support.asking import answered, ask, submitted
from tests.support.methods import lively, request

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.method import METHODS
from graftwork.serving.engine.engine import BatchEngine, EngineLimits

LENGTHS = 1, 5, 63, 64, 65, 130
NUM_NEW = 6


def prompts(seed, lengths=LENGTHS):
    draw = random.Random(seed)
    return [[draw.randrange(256) for _ in range(length)] for length in lengths]


def naive(bank, row, prompt_T, num_new=NUM_NEW):
    """The whole text read anew for every token."""
    tokens = list(prompt_T)
    for _ in range(num_new):
        with torch.no_grad(), bank.route([row]):
            tokens.append(int(bank.base.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(prompt_T) :]


@pytest.fixture
def engine_of():
    """`engine_of(bank)`: closed when the test ends."""
    made = []

    def make(bank, **limits):
        made.append(BatchEngine(bank, EngineLimits(**{"cache_bytes": 4 << 20, "threads": 1, **limits})))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def asks(bank, names, seed=0):
    """For each method and the base a request of every length."""
    rows = {name: lively(bank, request(name), number) for number, name in enumerate(names)}
    found = []
    for number, (name, row) in enumerate([("base", None), *rows.items()]):
        found += [ask(p, row, name, max_new_tokens=NUM_NEW, logprobs=3) for p in prompts(seed + number)]
    random.Random(seed).shuffle(found)
    return found


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "qwen2", "neox"])
def test_every_method_among_all_others_says_what_reading_the_whole_text_says(load, engine_of, family):
    bank = AdapterBank(load(family))
    asked = asks(bank, METHODS)
    engine = engine_of(bank, max_running=len(asked))
    told = [submitted(engine, one) for one in asked]
    for one, answer in zip(asked, told, strict=True):
        assert answer.wait().tokens == naive(bank, one.served.row, one.prompt_T), one.served.name


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_an_answer_is_the_same_to_the_bit_alone_and_among_others(load, engine_of, dtype):
    bank = AdapterBank(load("llama", dtype))
    asked = asks(bank, ["lora", "dora", "ia3", "prefix_tuning", "prompt_tuning", "bottleneck"])
    alone_in = engine_of(bank)
    assert alone_in.multiple is not None
    alone = [answered(alone_in, one) for one in asked]
    for seed, limits in enumerate([{}, {"max_running": 3}, {"read_tokens": 64}, {"read_tokens": 4096}]):
        engine = engine_of(bank, **limits)
        order = random.Random(seed).sample(range(len(asked)), len(asked))
        told = {number: submitted(engine, asked[number]) for number in order}
        for number, answer in told.items():
            assert answer.wait().said == alone[number].said, asked[number].served.name


def test_what_was_read_before_is_not_read_again_and_changes_no_bit(load, engine_of):
    bank = AdapterBank(load("llama", "float32"))
    rows = {name: lively(bank, request(name)) for name in ("lora", "prefix_tuning")}
    engine = engine_of(bank)
    (long_T,) = prompts(1, [200])
    for name, row in rows.items():
        first = answered(engine, ask(long_T, row, name, logprobs=4))
        second = answered(engine, ask(long_T, row, name, logprobs=4))
        other = answered(engine, ask(long_T[:100] + long_T[:20], row, name, logprobs=4))
        fresh = answered(engine_of(bank), ask(long_T[:100] + long_T[:20], row, name, logprobs=4))
        assert first.last.cached_tokens == 0
        assert second.last.cached_tokens > 128
        assert 0 < other.last.cached_tokens <= 100
        assert second.said == first.said
        assert other.said == fresh.said


def test_nothing_read_by_one_version_serves_another(load, engine_of):
    bank = AdapterBank(load("llama", "float32"))
    first, second = (lively(bank, request("lora"), seed) for seed in (1, 2))
    engine = engine_of(bank)
    (long_T,) = prompts(2, [200])
    answered(engine, ask(long_T, first, "one"))
    answer = answered(engine, ask(long_T, second, "two", logprobs=4))
    assert answer.last.cached_tokens == 0
    assert answer.said == answered(engine_of(bank), ask(long_T, second, "two", logprobs=4)).said


def test_logits_behind_the_prompt_are_those_of_the_bank(load, engine_of):
    bank = AdapterBank(load("llama"))
    row = lively(bank, request("lora"))
    (prompt_T,) = prompts(3, [70])
    answer = answered(engine_of(bank), ask(prompt_T, row, "one", keeps_logits=True, max_new_tokens=1))
    with torch.no_grad(), bank.route([row]):
        expected = bank.base.model(input_ids=torch.tensor([prompt_T])).logits[0, -1]
    assert torch.allclose(answer.last.logits_V.double(), expected, atol=1e-5)


def test_several_adapters_on_top_of_each_other(load, engine_of):
    bank = AdapterBank(load("llama"))
    row = tuple(lively(bank, request(name), seed) for seed, name in enumerate(["lora", "dora", "prefix_tuning"]))
    (prompt_T,) = prompts(4, [70])
    assert answered(engine_of(bank), ask(prompt_T, row, "stack", max_new_tokens=6)).tokens == naive(bank, row, prompt_T)


def test_experts_are_answered_too(load, engine_of):
    bank = AdapterBank(load("mixtral"))
    of_experts = lively(bank, request("lora", targets=["experts"]), 5)
    asked = [*asks(bank, ["lora"]), *(ask(p, of_experts, "experts", max_new_tokens=NUM_NEW) for p in prompts(9))]
    engine = engine_of(bank)
    told = [submitted(engine, one) for one in asked]
    for one, answer in zip(asked, told, strict=True):
        assert answer.wait().tokens == naive(bank, one.served.row, one.prompt_T)
