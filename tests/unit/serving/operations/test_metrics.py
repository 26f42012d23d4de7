"""What Prometheus reads: every number under its name, and never more names of models than there is room for."""

from prometheus_client.parser import text_string_to_metric_families

from graftwork.serving.asked import EngineReport
from graftwork.serving.guard.finding import Intervention
from graftwork.serving.operations.metrics import MOST_NAMES, Finished, Metrics, ModelsStand

REPORT = EngineReport(
    waiting=3,
    running=2,
    kv_tokens=40,
    kv_tokens_kept=8,
    kv_tokens_total=64,
    steps=7,
    prompt_tokens=5,
    cached_tokens=1,
    new_tokens=9,
)


def read(metrics):
    """Samples by name and values of labels."""
    families = text_string_to_metric_families(metrics.rendered().decode())
    return {(s.name, frozenset(s.labels.values())): s.value for family in families for s in family.samples}


def key(name, *labels):
    """Of a sample."""
    return f"graftwork_{name}", frozenset(labels)


def finished(model="bot", **asked):
    """An answer of five tokens."""
    told = {"finish": "stop", "prompt_tokens": 10, "cached_tokens": 4, "new_tokens": 5, "first_s": 0.2, "rest_s": 0.4}
    return Finished(model=model, **{**told, **asked})


def test_answers_requests_and_interventions_are_counted():
    metrics = Metrics(lambda: REPORT)
    metrics.finished(finished())
    metrics.finished(finished(finish="cancelled", new_tokens=0, first_s=None, rest_s=0.0))
    metrics.answered("POST", "/v1/completions", 200, 0.6)
    metrics.answered("BREW", "", 404, 0.0)
    metrics.guarded(Intervention("words", "own", "mask", "answer", 3))
    metrics.receipt("written")
    found = read(metrics)
    assert found[key("answers_total", "bot", "stop")] == 1
    assert found[key("answers_total", "bot", "cancelled")] == 1
    assert found[key("tokens_total", "bot", "prompt")] == 20
    assert found[key("tokens_total", "bot", "cached")] == 8
    assert found[key("tokens_total", "bot", "said")] == 5
    assert found[key("first_token_seconds_count", "bot")] == 1
    assert found[key("first_token_seconds_bucket", "bot", "0.25")] == 1
    assert found[key("first_token_seconds_bucket", "bot", "0.1")] == 0
    assert found[key("token_seconds_sum", "bot")] == 0.1
    assert found[key("http_requests_total", "POST", "/v1/completions", "200")] == 1
    assert found[key("http_requests_total", "other", "other", "404")] == 1
    assert found[key("guard_total", "words", "own", "mask", "answer")] == 1
    assert found[key("receipts_total", "written")] == 1


def test_how_engine_and_models_stand_is_read_when_asked():
    stand, draining = ModelsStand(resident_bytes={"memory": 1000}, events={"loaded": 2, "refused": 1}), [False]
    metrics = Metrics(lambda: REPORT, lambda: stand, lambda: draining[0])
    found = read(metrics)
    assert found[key("requests_waiting")] == 3
    assert found[key("requests_running")] == 2
    assert found[key("kv_tokens_used")] == 40
    assert found[key("kv_tokens")] == 64
    assert found[key("engine_steps_total")] == 7
    assert found[key("adapter_bytes", "memory")] == 1000
    assert found[key("adapter_events_total", "refused")] == 1
    assert found[key("draining")] == 0
    draining[0] = True
    assert read(metrics)[key("draining")] == 1


def test_more_models_than_labels_share_one():
    metrics = Metrics(lambda: REPORT)
    for number in range(MOST_NAMES + 5):
        metrics.finished(finished(f"m{number}"))
    metrics.finished(finished("m0"))
    found = read(metrics)
    assert found[key("answers_total", "m0", "stop")] == 2
    assert found[key("answers_total", "other", "stop")] == 5
    assert len([1 for name, _ in found if name == "graftwork_answers_total"]) == MOST_NAMES + 1


def test_two_servers_in_one_process_share_nothing():
    one, two = Metrics(lambda: REPORT), Metrics(lambda: REPORT)
    one.finished(finished())
    assert key("answers_total", "bot", "stop") not in read(two)
