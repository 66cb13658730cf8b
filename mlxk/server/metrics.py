"""Figures of what was served, for Prometheus, and one log line a request. No text of anybody."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mlxk.chat.speed import speed
from mlxk.chat.types import Event, Finish, Start, Usage
from mlxk.contract import encoding

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3, 2.6)
_SLOW = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# Tokens that an API may send in one piece while it makes them.
_AT_ONCE = 8
_GAUGES = {
    "active_sequences": "Sequences decoding or prefilling.",
    "queued": "Requests that wait.",
    "prefix_cache_files": "Prefixes on disk.",
    "kv_bytes": "Memory held by sequences.",
    "peak_memory_bytes": "The most that MLX has held, weights included.",
}
_COUNTS = {
    "restarts": "Engine processes started again after a death.",
    "drafted_tokens": "Tokens guessed ahead.",
    "accepted_tokens": "Those of them that held.",
}


class Meter:
    """One request: its tokens and its times, as they come."""

    def __init__(self, metrics: "Metrics", model: str, time: Callable[[], float]) -> None:
        self.model = model
        self.usage = Usage()
        self.first_s: float | None = None
        self._made_s = 0.0
        self._answers = self._pieces = 0
        self._metrics = metrics
        self._first, self._gap = metrics.first.labels(model), metrics.gap.labels(model)
        self._time = time
        self._began = self._last = time()

    def feed(self, event: Event, choice: int = 0) -> None:
        if isinstance(event, Start):
            return
        if isinstance(event, Finish):
            self._made_s = max(self._made_s, event.made_s or 0.0)
            self._answers += 1
            self._end(event.usage, choice)
        elif choice == 0:
            now = self._time()
            self._pieces += 1
            if self.first_s is None:
                self.first_s = now - self._began
                self._first.observe(self.first_s)
            else:
                self._gap.observe(now - self._last)
            self._last = now

    @property
    def tokens_per_second(self) -> float | None:
        """Of those after the first, by when they were made; a remote model's by when they came,
        unless it held them back."""
        later = self.usage.completion_tokens - self._answers
        if not self._made_s and later > _AT_ONCE * self._pieces * self._answers:
            return None
        spent = self._made_s or self._last - self._began - (self.first_s or 0.0)
        found = speed(later, spent)
        return None if found is None else round(found, 1)

    def _end(self, usage: Usage, choice: int) -> None:
        """The prompt counts once, however many choices were made of it."""
        said = self.usage.completion_tokens + usage.completion_tokens
        self._metrics.completion.labels(self.model).inc(usage.completion_tokens)
        if choice == 0:
            self._metrics.prompt.labels(self.model).inc(usage.prompt_tokens)
            self._metrics.cached.labels(self.model).inc(usage.cached_tokens)
            self.usage = usage
        self.usage = Usage(self.usage.prompt_tokens, said, self.usage.cached_tokens)


class Metrics:
    """Everything that `/metrics` shows. `stats` gives what each model says of itself."""

    def __init__(self, stats: Callable[[], Mapping[str, Any]]) -> None:
        # When each series began: a third of the text, read by nobody.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._stats = stats
        self.requests = self._counter("requests", "Requests answered.", ("route", "status"))
        self.prompt = self._counter("prompt_tokens", "Tokens of prompts.", ("model",))
        self.cached = self._counter("cached_tokens", "Tokens of prompts from a cache.", ("model",))
        self.completion = self._counter("completion_tokens", "Tokens of answers.", ("model",))
        self.seconds = self._histogram(
            "request_seconds", "From request to last byte.", ("route",), _SLOW
        )
        self.first = self._histogram(
            "first_token_seconds", "From request to first token.", ("model",), _SLOW
        )
        self.gap = self._histogram(
            "token_gap_seconds", "Between two pieces of text.", ("model",), _FAST
        )
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Asked by the registry at each scrape."""
        stats = self._stats()
        kinds = ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTS))
        for family, texts in kinds:
            for name, text in texts.items():
                metric = family(f"mlxk_{name}", text, labels=["model"])
                for model, each in stats.items():
                    if (value := getattr(each, name, None)) is not None:
                        metric.add_metric([model], value)
                if metric.samples:
                    yield metric

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"mlxk_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(f"mlxk_{name}", text, labels, buckets=buckets, registry=self._registry)


def log_line(facts: Mapping[str, Any], meter: Meter | None) -> bytes:
    """One line of NDJSON about one request."""
    more: dict[str, Any] = {}
    if meter is not None:
        more = {
            "model": meter.model,
            "prompt_tokens": meter.usage.prompt_tokens,
            "completion_tokens": meter.usage.completion_tokens,
            "cached_tokens": meter.usage.cached_tokens,
            "ttft_s": None if meter.first_s is None else round(meter.first_s, 4),
            "tps": meter.tokens_per_second,
        }
    return encoding.dumps({**facts, **more}, newline=True)
