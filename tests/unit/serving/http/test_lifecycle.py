"""In service and out of it: readiness, drain, its deadline, and who is still heard meanwhile."""

import threading

import openai
import pytest
from tests.support.asking import ask, submitted
from tests.support.served import GatedEngine, served

from graftwork.serving.engine.engine import BatchEngine, EngineLimits

HELLO = [{"role": "user", "content": "say hello"}]
FOREVER = {"model": "tiny", "messages": HELLO, "max_tokens": 30, "logit_bias": {"65": 100}}


def test_life_is_not_readiness(tiny_bank):
    with served(tiny_bank) as server, server.plain() as plain:
        del plain.headers["authorization"]
        assert plain.get("/health/live").json() == {"is_live": True, "reason": ""}
        assert plain.get("/health/ready").json() == {"is_ready": True, "is_draining": False, "reason": ""}
        server.parts.service.is_ready = False
        assert plain.get("/health/ready").status_code == 503
        assert plain.get("/health/ready").json()["reason"] == "It is starting."
        assert plain.get("/health/live").status_code == 200


def test_an_engine_that_a_mistake_has_ended_is_neither_ready_nor_alive(tiny_bank):
    engine = BatchEngine(tiny_bank, EngineLimits(cache_bytes=1 << 20, threads=1))
    with served(tiny_bank, engine=engine) as server, server.plain() as plain:
        assert plain.get("/health/ready").status_code == plain.get("/health/live").status_code == 200

        def mistaken():
            raise AssertionError("a mistake of ours")

        engine.between_steps(lambda: setattr(engine, "_step", mistaken)).result(60)
        broken = submitted(engine, ask([1, 2, 3]))
        assert broken.wait().last.finish == "cancelled"
        live, ready = plain.get("/health/live"), plain.get("/health/ready")
        assert (live.status_code, live.json()["is_live"]) == (503, False)
        assert (ready.status_code, ready.json()["is_ready"]) == (503, False)
        for one in (live, ready):
            assert one.json()["reason"] == "The engine has ended. The log says why; start the server anew."
        assert plain.get("/admin/v1/status").json()["is_ready"] is False
        refused = plain.post("/v1/chat/completions", json=FOREVER)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        server.parts.service.is_draining = True
        assert plain.get("/health/live").status_code == 200


def told(server, out):
    """All text of a stream, or its error."""
    with server.client() as client:
        try:
            for chunk in client.chat.completions.create(**FOREVER, stream=True):
                out.append(chunk.choices[0].delta.content or "")
        except openai.APIError as error:
            out.append(error)


def test_a_server_that_leaves_lets_answers_end_and_takes_no_new_ones(tiny_bank):
    engine, out = GatedEngine(tiny_bank), []
    with served(tiny_bank, engine=engine) as server, server.plain() as plain:
        reader = threading.Thread(target=told, args=(server, out))
        reader.start()
        assert engine.reached.wait(10)
        server.http.leave()
        while plain.get("/health/ready").status_code == 200:
            pass
        assert plain.get("/health/live").status_code == 200
        assert plain.get("/admin/v1/status").json()["is_draining"] is True
        refused = plain.post("/v1/chat/completions", json=FOREVER)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "draining"
        engine.gate.set()
        reader.join(20)
        server.thread.join(20)
        assert not server.thread.is_alive()
    assert len("".join(out)) == 30


def test_what_is_not_over_at_the_deadline_is_cancelled_and_told(tiny_bank):
    engine, out = GatedEngine(tiny_bank), []
    with served(tiny_bank, engine=engine, spec={"times": {"drain_s": 0.2}}) as server:
        reader = threading.Thread(target=told, args=(server, out))
        reader.start()
        assert engine.reached.wait(10)
        server.http.leave()
        server.thread.join(20)
        reader.join(20)
        assert not server.thread.is_alive()
    assert isinstance(out[-1], openai.APIError)
    assert "ended before the answer did" in str(out[-1])


def test_whoever_waits_for_a_whole_answer_at_the_deadline_is_told_to_ask_again(tiny_bank):
    engine, out = GatedEngine(tiny_bank), []

    def ask(server):
        with server.client() as client:
            with pytest.raises(openai.InternalServerError) as ended:
                client.chat.completions.create(**FOREVER)
            out.append(ended.value)

    with served(tiny_bank, engine=engine, spec={"times": {"drain_s": 0.2}}) as server:
        asker = threading.Thread(target=ask, args=(server,))
        asker.start()
        assert engine.reached.wait(10)
        server.http.leave()
        asker.join(20)
        server.thread.join(20)
    assert out[0].status_code == 503
    assert out[0].response.headers["retry-after"]
