"""What is counted is told: by version, added up over workers, and bounded."""

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import metrics as counting
from server.counting.version_statistics import Spent, Statistics
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
    churn.batch(8, 1, 0.0, 20, time.monotonic())

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


def test_what_requests_took_is_told_in_tritons_names() -> None:
    metrics = Metrics()
    churn = metrics.of("churn", 3)
    churn.read(0.002, 2)
    churn.waited(0.003, 2)
    churn.request(3, 0.05, 2)
    churn.batch(3, 2, 0.001, 0.01, time.monotonic() - 0.02)
    churn.failed(0.5)
    churn.request(1, 0.25)
    churn.unanswered(0.25)

    samples = told(metrics)

    nv = {
        name.removeprefix("nv_inference_").partition("{")[0].removesuffix("_total"): value  # the parser's own
        for name, value in samples.items()
        if name.startswith("nv_")
    }
    assert nv.pop("compute_output_duration_us") == pytest.approx(40_000, rel=0.2)
    assert nv == {
        "request_success": 2,
        "request_failure": 2,
        "count": 3,
        "exec_count": 1,
        "request_duration_us": 100_000,
        "queue_duration_us": 6_000,
        "compute_input_duration_us": 6_000,
        "compute_infer_duration_us": 20_000,
    }
    assert one(samples, "requests_total") == 3  # our own counts who was answered, with what does not matter
    assert one(samples, "run_seconds_sum") == 0.01


def test_what_waits_is_told_until_the_version_is_unloaded() -> None:
    metrics = Metrics()
    metrics.loaded("churn", 3, "CPUExecutionProvider", 4096)
    metrics.pending("churn", 3).set_function(lambda: 7.0)

    before = told(metrics)
    metrics.unloaded("churn", 3, "CPUExecutionProvider")

    name = "nv_inference_pending_request_count{model=churn,version=3}"
    assert before[name] == 7
    assert name not in told(metrics)


def test_statistics_are_those_of_all_workers(tmp_path: Path) -> None:
    first, other = Metrics(tmp_path), Metrics(tmp_path)
    for count, worker in enumerate((first, other), 1):
        churn = worker.of("churn", 3)
        for _ in range(count):
            churn.request(4, 0.1)
            churn.waited(0.01)
            churn.batch(4, 1, 0.001, 0.02, time.monotonic())
    other.of("churn", 3).batch(1, 1, 0.001, 0.004, time.monotonic())
    other.of("churn", 4).request(1, 0.1)
    now = 1000 * time.time()

    found = first.statistics("churn", 3)

    assert (found.inference_count, found.execution_count) == (13, 4)
    assert found.success == Spent(3, 300_000_000)
    assert found.fail == Spent(0, 0)
    assert found.queue == Spent(3, 30_000_000)
    assert found.compute_infer == Spent(3, 64_000_000)
    assert [(one.size, one.compute_infer) for one in found.batches] == [
        (1, Spent(1, 4_000_000)),
        (4, Spent(3, 60_000_000)),
    ]
    assert now - 10_000 < found.last_inference_ms < now + 1000
    assert set(first.every_statistics()) == {("churn", 3), ("churn", 4)}
    same = other.statistics("churn", 3)
    assert abs(same.last_inference_ms - found.last_inference_ms) <= 1  # each puts its two clocks side by side
    assert replace(same, last_inference_ms=found.last_inference_ms) == found
    assert first.every_statistics("churn").keys() == {("churn", 3), ("churn", 4)}
    assert first.every_statistics("nobody") == {}
    assert first.statistics("nobody", 1) == Statistics()
    first.close()
    other.close()


def test_the_last_inference_of_all_workers_is_the_latest(tmp_path: Path) -> None:
    first, other = Metrics(tmp_path), Metrics(tmp_path)
    first.of("churn", 3).batch(1, 1, 0.0, 0.0, time.monotonic())
    alone = first.statistics("churn", 3).last_inference_ms
    time.sleep(0.02)
    other.of("churn", 3).batch(1, 1, 0.0, 0.0, time.monotonic())

    together = first.statistics("churn", 3).last_inference_ms

    assert 10 < together - alone < 10_000
    first.close()
    other.close()


def test_sizes_past_the_most_are_not_told_apart_and_count_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(counting.MOST, "batches", 2)
    metrics = Metrics()
    for rows in (1, 2, 3, 4, 3):
        metrics.of("churn", 3).batch(rows, 1, 0.0, 0.001, time.monotonic())

    found = metrics.statistics("churn", 3)

    assert [one.size for one in found.batches] == [1, 2]
    assert (found.inference_count, found.execution_count) == (13, 5)
    assert set(metrics.every_statistics()) == {("churn", 3)}


def test_a_version_that_is_gone_has_no_statistics() -> None:
    metrics = Metrics()
    gone = metrics.of("churn", 2)
    gone.batch(1, 1, 0.0, 0.001, time.monotonic())

    metrics.forget("churn", 2)
    gone.batch(1, 1, 0.0, 0.001, time.monotonic())
    gone.batch(9, 1, 0.0, 0.001, time.monotonic())

    assert metrics.statistics("churn", 2) == Statistics()


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
    monkeypatch.setattr(counting, "MOST", {"version": 2, "fault": 1, "batches": 1})
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
