"""The engine as a thread: every request ends once, whoever ends it; one's trouble is not another's."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.support.asking import Answer, answered, ask, submitted

from graftwork.adapters.bank import AdapterBank
from graftwork.core.errors import CapacityError, OverloadedError, SpecError, WorkError
from graftwork.serving.engine.engine import BatchEngine, EngineLimits


@pytest.fixture
def bank(load):
    return AdapterBank(load("llama", "float32"))


@pytest.fixture
def engine(bank):
    one = BatchEngine(bank, EngineLimits(cache_bytes=1 << 20, threads=1))
    yield one
    one.close()


def test_it_ends_at_a_stop_token_which_it_does_not_say(engine):
    whole = answered(engine, ask([1, 2, 3], max_new_tokens=8))
    assert whole.last.finish == "length"
    stop = whole.tokens[3]
    short = answered(engine, ask([1, 2, 3], max_new_tokens=8, stop_ids=[stop]))
    assert short.last.finish == "stop"
    assert short.tokens == whole.tokens[: whole.tokens.index(stop)]


def test_who_is_cancelled_ends_and_leaves_nothing_behind(engine):
    endless = [submitted(engine, ask([number], max_new_tokens=450, id=f"endless-{number}")) for number in range(5)]
    for number in range(5):
        engine.cancel(f"endless-{number}")
    for answer in endless:
        assert answer.wait().last.finish in ("cancelled", "length")
        assert [update.finish for update in answer.updates].count(None) == len(answer.updates) - 1
    assert answered(engine, ask([1])).last.finish == "length"
    report = engine.report()
    assert (report.running, report.waiting, report.kv_tokens) == (0, 0, 0)


def test_cancelling_what_is_not_there_does_nothing(engine):
    engine.cancel("nobody")
    assert answered(engine, ask([1])).last.finish == "length"


def test_whatever_is_under_way_at_the_end_is_told_so(bank):
    engine = BatchEngine(bank, EngineLimits(cache_bytes=1 << 20, threads=1, max_running=2))
    answers = [submitted(engine, ask([number], max_new_tokens=400)) for number in range(6)]
    engine.close()
    assert all(answer.wait(5).last.finish in ("cancelled", "length") for answer in answers)
    with pytest.raises(OverloadedError):
        engine.submit(ask([1]), Answer())
    with pytest.raises(WorkError):
        engine.between_steps(lambda: 1).result(5)


def test_draining_takes_nobody_new_and_lets_the_others_end(engine):
    answer = submitted(engine, ask([1], max_new_tokens=50))
    engine.drain()
    with pytest.raises(OverloadedError):
        engine.submit(ask([1]), Answer())
    assert len(answer.wait().tokens) == 50


def test_what_can_never_be_answered_is_refused_with_all_that_is_wrong(engine):
    for asked, words in [
        (ask([]), "at least one token"),
        (ask([1], max_new_tokens=0), "1 or more"),
        (ask([1] * 500, max_new_tokens=50), "this base reads"),
        (ask([1, 10**6]), "tokens from 0 to"),
        (ask([1, -1]), "tokens from 0 to"),
        (ask([1], logit_bias={10**6: 1.0}), "logit_bias"),
    ]:
        with pytest.raises(SpecError, match=words):
            engine.submit(asked, Answer())


def test_a_request_larger_than_the_cache_is_refused(bank):
    small = BatchEngine(bank, EngineLimits(cache_bytes=120_000, threads=1))
    try:
        most = small.report().kv_tokens_total
        assert most < 400
        with pytest.raises(SpecError, match="cache"):
            small.submit(ask([1] * most, max_new_tokens=2), Answer())
        assert answered(small, ask([1] * (most - 1), max_new_tokens=2)).last.finish == "length"
    finally:
        small.close()


def test_a_cache_without_a_page_is_refused(bank):
    with pytest.raises(CapacityError, match="a page alone"):
        BatchEngine(bank, EngineLimits(cache_bytes=10))


def test_too_many_waiting_are_told_to_come_again(bank):
    engine = BatchEngine(bank, EngineLimits(cache_bytes=1 << 20, threads=1, max_running=1, max_waiting=3))
    try:
        taken = []

        def flood():
            for number in range(50):
                taken.append(submitted(engine, ask([number], max_new_tokens=300)))

        with pytest.raises(OverloadedError) as refused:
            flood()
        assert refused.value.retry_after_s > 0
        assert len(taken) >= 3
        assert all(answer.wait().last.finish == "length" for answer in taken)
    finally:
        engine.close()


def test_an_adapter_that_overflows_fails_alone(bank, engine, lively):
    bad, good = lively(bank, seed=1), lively(bank, seed=2)
    with torch.no_grad():
        for _, tensor in bank[bad].tensors():
            tensor.fill_(float("inf"))
    before = answered(engine, ask([1, 2, 3], good, "good", logprobs=2))
    broken = [submitted(engine, ask([1, 2, number], bad, "bad")) for number in range(3)]
    beside = submitted(engine, ask([1, 2, 3], good, "good", logprobs=2))
    for answer in broken:
        assert answer.wait().last.finish == "failed"
        assert "not finite" in answer.last.reason
    assert beside.wait().said == before.said


def test_an_adapter_that_has_left_is_said_to_be_gone(bank, engine, lively):
    handle = lively(bank)
    answered(engine, ask([1], handle, "one"))
    engine.between_steps(lambda: bank.remove(handle)).result(10)
    with pytest.raises(Exception, match="not in this bank"):
        engine.submit(ask([1], handle, "one"), Answer())
    assert engine._voices.slots.num_bytes == 0


def test_adapters_come_and_go_beside_answers(bank, engine, lively):
    long = submitted(engine, ask([1, 2, 3], max_new_tokens=300, logprobs=1))
    for seed in range(6):
        handle = engine.between_steps(lambda seed=seed: lively(bank, seed=seed)).result(30)
        assert answered(engine, ask([1], handle, f"one-{seed}")).last.finish == "length"
        engine.between_steps(lambda handle=handle: bank.remove(handle)).result(30)
    alone = answered(engine, ask([1, 2, 3], max_new_tokens=300, logprobs=1))
    assert long.wait().said == alone.said
    assert len(bank) == 0


def test_work_between_steps_that_fails_is_told_to_whoever_asked(engine):
    with pytest.raises(ZeroDivisionError):
        engine.between_steps(lambda: 1 // 0).result(10)
    assert answered(engine, ask([1])).last.finish == "length"


def test_a_request_whose_token_cannot_be_chosen_fails_alone(engine):
    beside = submitted(engine, ask([1], max_new_tokens=100))
    broken = answered(engine, ask([2], temperature="hot"))
    assert broken.last.finish == "failed"
    assert beside.wait().last.finish == "length"
    assert engine.is_alive


def test_a_listener_that_fails_harms_nobody(engine):
    def deaf(update):
        raise RuntimeError("deaf")

    engine.submit(ask([1]), deaf)
    assert answered(engine, ask([2])).last.finish == "length"


def test_two_requests_of_one_id_are_refused(engine):
    first = submitted(engine, ask([1], id="same", max_new_tokens=400))
    second = submitted(engine, ask([1], id="same"))
    assert second.wait().last.finish == "failed"
    assert "under way" in second.last.reason
    assert len(first.wait().tokens) == 400


def test_many_threads_ask_at_once(engine):
    expected = {number: answered(engine, ask([number, 5])).tokens for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: (number % 8, answered(engine, ask([number % 8, 5])).tokens), range(64)))
    assert all(tokens == expected[number] for number, tokens in found)


def test_the_report_adds_up(engine):
    answered(engine, ask(range(100), max_new_tokens=5))
    answered(engine, ask(range(100), max_new_tokens=5))
    report = engine.report()
    assert report.new_tokens == 10
    assert report.prompt_tokens == 100 + 36
    assert report.cached_tokens == 64
    assert report.kv_tokens_kept == 64
