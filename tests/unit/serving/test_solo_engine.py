"""The plain engine that other tests lean on keeps the promises of the seam."""

import queue

import pytest
import torch
from tests.support.solo_engine import SoloEngine

from graftwork.adapters.bank import AdapterBank
from graftwork.core.errors import OverloadedError
from graftwork.serving.asked import Ask, Sampling, Served


@pytest.fixture(scope="module")
def bank(load):
    return AdapterBank(load(dtype="float32"))


@pytest.fixture
def engine(bank):
    engine = SoloEngine(bank)
    yield engine
    engine.close()


def ask(id="one", row=None, prompt=(5, 6, 7), stops=(), **sampling):
    served = Served(name="base", version=None, content="c", row=row)
    flags = {key: sampling.pop(key) for key in ("keeps_logits", "is_urgent") if key in sampling}
    sampling = Sampling(**{"max_new_tokens": 8, "temperature": 0, **sampling})
    return Ask(
        id=id, tenant="t", served=served, prompt_T=tuple(prompt), sampling=sampling, stop_ids=frozenset(stops), **flags
    )


def answer(engine, asked):
    told = queue.Queue()
    engine.submit(asked, told.put)
    updates = [told.get(timeout=60)]
    while updates[-1].finish is None:
        updates.append(told.get(timeout=60))
    return updates


def tokens(updates):
    return [said.token for update in updates for said in update.said]


@torch.no_grad()
def test_greedy_tokens_are_those_of_the_whole_sequence(engine, bank):
    updates = answer(engine, ask(keeps_logits=True))
    said = tokens(updates)
    logits_TV = bank.base.model(input_ids=torch.tensor([[5, 6, 7, *said]])).logits[0]
    assert said == logits_TV[2:-1].argmax(-1).tolist()
    torch.testing.assert_close(updates[0].logits_V, logits_TV[2].float())
    assert updates[-1].finish == "length"
    stopped = answer(engine, ask(stops=said[3:4]))
    assert (stopped[-1].finish, tokens(stopped)) == ("stop", said[: said.index(said[3])])


def test_a_seed_decides_and_temperature_matters(engine):
    drawn = [tokens(answer(engine, ask(temperature=3.0, seed=seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert tokens(answer(engine, ask(temperature=3.0, top_p=1e-6))) == tokens(answer(engine, ask()))


def test_an_adapter_answers_its_own_rows_and_is_put_in_between_steps(engine, bank, lively):
    handle = engine.between_steps(lambda: lively(bank)).result(60)
    plain, adapted = (answer(engine, ask(row=row, keeps_logits=True))[0].logits_V for row in (None, handle))
    assert not torch.allclose(plain, adapted, atol=1e-2)
    engine.between_steps(lambda: bank.remove(handle)).result(60)
    assert answer(engine, ask(row=handle))[-1].finish == "failed"


def test_what_is_cancelled_or_closed_is_told_once(engine):
    engine.pause()
    told = {name: queue.Queue() for name in "ab"}
    for name in "ab":
        engine.submit(ask(name), told[name].put)
    engine.cancel("a")
    assert told["a"].get(timeout=60).finish == "cancelled"
    engine.drain()
    with pytest.raises(OverloadedError):
        engine.submit(ask("c"), print)
    engine.close()
    assert told["b"].get(timeout=60).finish == "cancelled"
    assert told["a"].empty()
    assert told["b"].empty()
