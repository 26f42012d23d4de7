"""What a server counts, for Prometheus, in a registry of its own.

A name of a model becomes a label only as long as there are few: the first `MOST_NAMES` that are answered have one each,
all later ones share "other". Which are the busiest nobody knows in advance, and a counter whose label changes later
would go backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from graftwork.serving.asked import EngineReport
from graftwork.serving.guard.finding import Intervention

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MOST_NAMES, OTHER = 50, "other"
FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PER_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsStand:
    """How the adapters in memory stand.

    Attributes:
        resident_bytes: by where they lie, such as memory and disk.
        events: since the start, by what happened: loaded, refused, evicted and so on.
    """

    resident_bytes: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """An answer that is over.

    Attributes:
        first_s: from the engine's taking it to its first token; None when none came.
        rest_s: from the first token to the last.
    """

    model: str
    finish: str
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    first_s: float | None
    rest_s: float


class Metrics:
    """The counters of one server. Its methods may be called from one thread, `rendered` from any."""

    def __init__(
        self,
        engine: Callable[[], EngineReport],
        models: Callable[[], ModelsStand] = ModelsStand,
        is_draining: Callable[[], bool] = bool,
        lost_lines: Callable[[], int] = int,
    ) -> None:
        """What is read when somebody looks: how engine and models stand, whether it drains, lost lines of the log."""
        self.registry = CollectorRegistry()
        self._names: dict[str, str] = {}
        self._http = self._counter("http_requests", "Requests answered.", "method", "path", "status")
        self._seconds = self._histogram("http_request_seconds", "Until the last byte.", REQUEST_S, "path")
        self._answers = self._counter("answers", "Answers that are over, by how they ended.", "model", "finish")
        self._first = self._histogram("first_token_seconds", "Until the first token.", FIRST_TOKEN_S, "model")
        self._each = self._histogram("token_seconds", "Between tokens, on average.", PER_TOKEN_S, "model")
        self._tokens = self._counter("tokens", "Tokens asked, of those from the cache, said.", "model", "kind")
        self._guard = self._counter("guard", "What the guard did.", "filter", "kind", "action", "side")
        self._receipts = self._counter("receipts", "Receipts, by whether they were written.", "outcome")
        self.registry.register(_Stands(engine, models, is_draining, lost_lines))

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered over HTTP; `path` is the route's pattern, or empty where there is none."""
        self._http.labels(method if path else OTHER, path or OTHER, str(status)).inc()
        self._seconds.labels(path or OTHER).observe(seconds)

    def finished(self, one: Finished) -> None:
        """An answer is over."""
        model = self.label(one.model)
        self._answers.labels(model, one.finish).inc()
        self._tokens.labels(model, "prompt").inc(one.prompt_tokens)
        self._tokens.labels(model, "cached").inc(one.cached_tokens)
        self._tokens.labels(model, "said").inc(one.new_tokens)
        if one.first_s is not None:
            self._first.labels(model).observe(one.first_s)
        if one.new_tokens > 1:
            self._each.labels(model).observe(one.rest_s / (one.new_tokens - 1))

    def guarded(self, one: Intervention) -> None:
        """The guard did something."""
        self._guard.labels(one.filter, one.kind, one.action, one.side).inc()

    def receipt(self, outcome: str) -> None:
        """A receipt was written, or was not."""
        self._receipts.labels(outcome).inc()

    def label(self, name: str) -> str:
        """What a model is called here."""
        if name not in self._names:
            if len(self._names) >= MOST_NAMES:
                return OTHER
            self._names[name] = name
        return name

    def rendered(self) -> bytes:
        """All of it, as `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"graftwork_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"graftwork_{name}", about, labels, buckets=buckets, registry=self.registry)


@dataclass(frozen=True, slots=True)
class _Stands(Collector):
    """What is read when somebody looks."""

    engine: Callable[[], EngineReport]
    models: Callable[[], ModelsStand]
    is_draining: Callable[[], bool]
    lost_lines: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """As Prometheus asks."""
        report, stand = self.engine(), self.models()
        yield _gauge("requests_waiting", "Requests without a place in the engine.", report.waiting)
        yield _gauge("requests_running", "Requests with one.", report.running)
        yield _gauge("kv_tokens_used", "Places for keys and values that requests hold.", report.kv_tokens)
        if report.kv_tokens_kept is not None:
            yield _gauge("kv_tokens_kept", "Places that hold beginnings for later requests.", report.kv_tokens_kept)
        yield _gauge("kv_tokens", "Places for keys and values.", report.kv_tokens_total)
        yield _count("engine_steps", "Forward passes.", report.steps)
        yield _gauge("draining", "1 while the server goes out of service.", int(self.is_draining()))
        yield _count("log_lines_lost", "Lines of the log that its file did not take.", self.lost_lines())
        resident = GaugeMetricFamily("graftwork_adapter_bytes", "Bytes of adapters, by where.", labels=["tier"])
        for tier, num_bytes in stand.resident_bytes.items():
            resident.add_metric([tier], num_bytes)
        yield resident
        events = CounterMetricFamily("graftwork_adapter_events", "What became of adapters.", labels=["event"])
        for event, count in stand.events.items():
            events.add_metric([event], count)
        yield events


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"graftwork_{name}", about, value=value)


def _count(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"graftwork_{name}", about, value=value)
