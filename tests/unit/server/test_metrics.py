"""What is counted is told: by version, added up over workers, and bounded."""

import math
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import metrics as counting
from server.metrics import Metrics


def told(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels, as a query would name it."""
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def one(samples: dict[str, float], name: str, labels: str = "model=churn,version=3") -> float:
    return samples[f"insitu_{name}{{{labels}}}"]


def test_requests_rows_and_fills_are_counted_by_version() -> None:
    metrics = Metrics()

    metrics.of("churn", 3).request(5, 0.01)
    metrics.of("churn", 3).filled(2)
    metrics.of("churn", 3).missing(1)

    samples = told(metrics)
    assert one(samples, "requests_total") == 1
    assert one(samples, "rows_total") == 5
    assert one(samples, "rows_filled_total") == 2
    assert one(samples, "rows_missing_total") == 1
    assert one(samples, "request_seconds_bucket", "le=0.005,model=churn,version=3") == 0
    assert one(samples, "request_seconds_bucket", "le=0.01,model=churn,version=3") == 1
    assert one(samples, "request_seconds_sum") == 0.01


def test_reads_waits_and_runs_are_observed() -> None:
    metrics = Metrics()
    churn = metrics.of("churn", 3)

    churn.read(0.001)
    churn.waited(0.00001)
    churn.ran(8, 20)

    samples = told(metrics)
    assert one(samples, "feature_read_seconds_sum") == 0.001
    assert one(samples, "queue_seconds_bucket", "le=2.5e-05,model=churn,version=3") == 1
    assert one(samples, "run_seconds_bucket", "le=10.0,model=churn,version=3") == 0
    assert one(samples, "run_seconds_count") == 1
    assert one(samples, "batch_rows_bucket", "le=4.0,model=churn,version=3") == 0
    assert one(samples, "batch_rows_bucket", "le=8.0,model=churn,version=3") == 1
    assert one(samples, "batch_rows_sum") == 8


@pytest.mark.parametrize(("age", "counted"), [(70, 70), (-5, 0), (math.nan, 0), (math.inf, 0)])
def test_the_age_of_features_is_observed(age: float, counted: float) -> None:
    metrics = Metrics()

    metrics.of("churn", 3).aged(age)

    samples = told(metrics)
    assert one(samples, "feature_age_seconds_count") == 1
    assert one(samples, "feature_age_seconds_sum") == counted


def test_what_a_shadow_answers_is_compared() -> None:
    metrics = Metrics()
    churn = metrics.of("churn", 3)

    churn.shadowed(10, 0, 1e-8)
    churn.shadowed(5, 2, 0.3)
    churn.shadowed(5, 5, math.nan)
    churn.skipped(7)

    samples = told(metrics)
    assert one(samples, "shadow_rows_total") == 20
    assert one(samples, "shadow_skipped_rows_total") == 7
    assert one(samples, "shadow_different_rows_total") == 7
    assert one(samples, "shadow_largest_difference_bucket", "le=1e-07,model=churn,version=3") == 1
    assert one(samples, "shadow_largest_difference_bucket", "le=10.0,model=churn,version=3") == 2
    assert one(samples, "shadow_largest_difference_count") == 3
    assert one(samples, "shadow_largest_difference_sum") == 1e-8 + 0.3


def test_faults_and_round_trips_are_counted() -> None:
    metrics = Metrics()

    metrics.failed("churn", "key_missing", 3, version=3)
    metrics.failed("churn", "key_missing", version=3)
    metrics.failed("unknown", "model_not_found")
    metrics.pipeline(12, 0.001)

    samples = told(metrics)
    assert one(samples, "errors_total", "code=key_missing,model=churn,version=3") == 4
    assert one(samples, "errors_total", "code=model_not_found,model=unknown,version=") == 1
    assert one(samples, "redis_round_trips_total", "") == 1
    assert one(samples, "redis_commands_total", "") == 12
    assert one(samples, "redis_round_trip_seconds_sum", "") == 0.001


def test_a_version_is_loaded_until_it_is_not() -> None:
    metrics = Metrics()
    metrics.loaded("churn", 3, "CPUExecutionProvider", 4096)
    metrics.of("churn", 3).request(1, 0.1)

    before = told(metrics)
    metrics.unloaded("churn", 3, "CPUExecutionProvider")
    after = told(metrics)

    assert one(before, "model_loaded", "model=churn,provider=CPUExecutionProvider,version=3") == 1
    assert one(before, "model_memory_bytes") == 4096
    assert not [name for name in after if name.startswith(("insitu_model_loaded", "insitu_model_memory"))]
    assert one(after, "requests_total") == 1


def test_gauges_are_asked_when_somebody_wants_to_know() -> None:
    metrics = Metrics()
    before = told(metrics)

    metrics.redis_up.set_function(lambda: 1.0)
    metrics.in_flight.set_function(lambda: 12.0)

    after = told(metrics)
    assert (before["insitu_redis_up{}"], before["insitu_requests_in_flight{}"]) == (0, 0)
    assert (after["insitu_redis_up{}"], after["insitu_requests_in_flight{}"]) == (1, 12)
    assert after["insitu_workers{}"] == 1
    assert after["process_resident_memory_bytes{}"] > 1e6


def test_a_version_that_is_gone_leaves_no_series_behind() -> None:
    metrics = Metrics()
    kept, gone = metrics.of("churn", 1), metrics.of("churn", 2)
    for version, numbers in ((1, kept), (2, gone)):
        numbers.request(1, 0.1)
        metrics.failed("churn", "key_missing", version=version)

    metrics.forget("churn", 2)
    gone.request(1, 0.1)
    metrics.forget("nobody", 2)

    samples = told(metrics)
    assert one(samples, "rows_total", "model=churn,version=1") == 1
    assert not [name for name in samples if "version=2" in name]
    assert metrics.of("churn", 2) is not gone


def test_only_what_is_stored_is_kept() -> None:
    metrics = Metrics()
    for version in (1, 2, 3):
        metrics.of("churn", version).request(1, 0.1)
    metrics.of("digits", 1).request(1, 0.1)
    metrics.failed("churn", "alias_not_found")

    metrics.keep("churn", {3})
    some = told(metrics)
    metrics.keep("churn", set())
    metrics.keep("nobody", set())

    assert [name for name in some if name.startswith("insitu_rows_total")] == [
        "insitu_rows_total{model=churn,version=3}",
        "insitu_rows_total{model=digits,version=1}",
    ]
    assert one(some, "errors_total", "code=alias_not_found,model=churn,version=") == 1
    assert not [name for name in told(metrics) if "churn" in name]


def test_versions_and_faults_past_the_most_share_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", {"version": 2, "fault": 1})
    metrics = Metrics()

    for version in range(1, 6):
        metrics.of("churn", version).request(1, 0.1)
        metrics.failed("churn", "key_missing", version=version)

    samples = told(metrics)
    assert one(samples, "rows_total", "model=churn,version=2") == 1
    assert one(samples, "rows_total", "model=other,version=") == 3
    assert one(samples, "errors_total", "code=key_missing,model=other,version=") == 4
    assert not [name for name in samples if "model=churn,version=3" in name]


def test_two_servers_in_one_process_do_not_meet() -> None:
    first, other = Metrics(), Metrics()

    first.failed("churn", "key_missing")

    assert not [name for name in told(other) if "churn" in name]


def test_workers_add_up(tmp_path: Path) -> None:
    first, other = Metrics(tmp_path), Metrics(tmp_path)
    for count, worker in enumerate((first, other), 1):
        worker.of("churn", 3).request(count, 0.1 * count)
        worker.loaded("churn", 3, "CPUExecutionProvider", 1000)
        worker.in_flight.set_function(lambda: 5.0)
        worker.refresh()
    first.redis_up.set_function(lambda: 1.0)

    samples = told(first)

    assert one(samples, "rows_total") == 3
    assert one(samples, "request_seconds_sum") == pytest.approx(0.3)
    assert one(samples, "model_loaded", "model=churn,provider=CPUExecutionProvider,version=3") == 2
    assert one(samples, "model_memory_bytes") == 2000
    assert samples["insitu_requests_in_flight{}"] == 10
    assert samples["insitu_redis_up{}"] == 0  # one of them is without
    assert samples["insitu_workers{}"] == 2
    assert {"process_open_fds{worker=0}", "process_open_fds{worker=1}"} <= set(samples)
    first.close()
    other.close()


def test_what_a_dead_worker_left_can_be_dropped(tmp_path: Path) -> None:
    dead = Metrics(tmp_path)
    for version in (1, 2):
        dead.of("churn", version).request(1, 0.1)
        dead.failed("churn", "key_missing", version=version)
    dead.loaded("churn", 1, "CPUExecutionProvider", 1000)
    dead.close()

    worker = Metrics(tmp_path)
    worker.keep("churn", {2})

    samples = told(worker)
    assert [name for name in samples if "version=1" in name] == []
    assert one(samples, "rows_total", "model=churn,version=2") == 1
    worker.close()


def test_a_directory_that_cannot_be_used_keeps_nobody_from_counting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(tmp_path / "none")

    metrics.of("churn", 3).request(1, 0.1)

    assert one(told(metrics), "rows_total") == 1
    assert "this worker counts for itself alone" in caplog.text
