"""Series carry model and version, and leave with the version."""

from prometheus_client import generate_latest

from server.metrics import Metrics


def text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_answers_rows_and_fills_are_counted_by_version() -> None:
    metrics = Metrics()

    metrics.of("churn", 3).answered(5, 2, 0.01)

    told = text(metrics)
    assert 'insitu_requests_total{model="churn",version="3"} 1.0' in told
    assert 'insitu_rows_total{model="churn",version="3"} 5.0' in told
    assert 'insitu_rows_filled_total{model="churn",version="3"} 2.0' in told
    assert 'insitu_request_seconds_count{model="churn",version="3"} 1.0' in told


def test_runs_are_observed_with_their_rows() -> None:
    metrics = Metrics()

    metrics.of("churn", 3).ran(8, 0.002)
    metrics.of("churn", 3).read(0.001)

    told = text(metrics)
    assert 'insitu_batch_rows_bucket{le="8.0",model="churn",version="3"} 1.0' in told
    assert 'insitu_run_seconds_count{model="churn",version="3"} 1.0' in told
    assert 'insitu_feature_read_seconds_count{model="churn",version="3"} 1.0' in told


def test_a_version_that_is_gone_leaves_no_series_behind() -> None:
    metrics = Metrics()
    kept, gone = metrics.of("churn", 1), metrics.of("churn", 2)
    kept.answered(1, 0, 0.1)
    gone.answered(1, 0, 0.1)

    metrics.forget("churn", 2)
    gone.answered(1, 0, 0.1)

    assert 'version="1"' in text(metrics)
    assert 'version="2"' not in text(metrics)


def test_faults_and_round_trips_are_counted() -> None:
    metrics = Metrics()

    metrics.failed("churn", "key_missing")
    metrics.pipeline(12, 0.001)

    told = text(metrics)
    assert 'insitu_errors_total{code="key_missing",model="churn"} 1.0' in told
    assert "insitu_redis_round_trips_total 1.0" in told
    assert "insitu_redis_commands_total 12.0" in told


def test_two_servers_in_one_process_do_not_meet() -> None:
    one, other = Metrics(), Metrics()

    one.failed("churn", "key_missing")

    assert "churn" not in text(other)
