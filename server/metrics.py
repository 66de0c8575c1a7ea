"""Metrics: one registry a server, built in app.py; the unit is in the name.

Labels are model and version; a model that is not stored counts as `unknown`, so that no caller
can make series without end.
"""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
VERSION = ("model", "version")


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """The series of one version, looked up once."""

    answered: Callable[[int, int, float], None]
    read: Callable[[float], None]
    ran: Callable[[int, float], None]


class Metrics:
    """Every series of the server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._counter("insitu_requests", "Predictions answered", VERSION)
        self._rows = self._counter("insitu_rows", "Rows answered", VERSION)
        self._filled = self._counter("insitu_rows_filled", "Rows with a value stood in for", VERSION)
        self._errors = self._counter("insitu_errors", "Failed requests and rows", ("model", "code"))
        self._seconds = self._histogram("insitu_request_seconds", "Whole prediction", SECONDS)
        self._read = self._histogram("insitu_feature_read_seconds", "Reading features from Redis", SECONDS)
        self._run = self._histogram("insitu_run_seconds", "One run of a batch", SECONDS)
        self._batch = self._histogram("insitu_batch_rows", "Rows of one run", ROWS)
        self.redis_up = self._gauge("insitu_redis_up", "1 when Redis answers", ())
        self.loaded = self._gauge("insitu_model_loaded", "1 for a loaded version", (*VERSION, "provider"))
        self.memory = self._gauge(
            "insitu_model_memory_bytes", "Memory of a loaded version, estimated", VERSION
        )
        self.round_trips = self._counter("insitu_redis_round_trips", "Pipelines sent to Redis", ())
        self.commands = self._counter("insitu_redis_commands", "Commands sent to Redis", ())

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, VERSION, buckets=buckets, registry=self.registry)

    def of(self, model: str, version: int) -> ModelMetrics:
        """Return the series of one version."""
        labels = (model, str(version))
        requests, rows = self._requests.labels(*labels), self._rows.labels(*labels)
        filled, seconds = self._filled.labels(*labels), self._seconds.labels(*labels)
        run, batch = self._run.labels(*labels), self._batch.labels(*labels)

        def answered(count: int, stood_in: int, duration: float) -> None:
            requests.inc()
            rows.inc(count)
            filled.inc(stood_in)
            seconds.observe(duration)

        def ran(count: int, duration: float) -> None:
            run.observe(duration)
            batch.observe(count)

        return ModelMetrics(answered, self._read.labels(*labels).observe, ran)

    def forget(self, model: str, version: int) -> None:
        """Drop the series of a version that is no longer stored, or they would add up for good."""
        series = (self._requests, self._rows, self._filled, self._seconds, self._read, self._run, self._batch)
        for one in series:
            one.remove(model, str(version))

    def failed(self, model: str, code: str) -> None:
        """Count a failed request or row; `model` is a stored one or `unknown`."""
        self._errors.labels(model, code).inc()

    def pipeline(self, commands: int, _seconds: float) -> None:
        """Count one round trip to Redis."""
        self.round_trips.inc()
        self.commands.inc(commands)
