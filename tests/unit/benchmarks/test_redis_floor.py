"""redis-benchmark: its CSV is read by its heading."""

import pytest

from benchmarks.faults import BenchmarkFailed
from benchmarks.redis_floor import read

HEADING = (
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms",'
    '"max_latency_ms"'
)


def test_rate_and_latencies_are_read_by_name() -> None:
    told = read(f'{HEADING}\n"GET vec:__rand_int__","111000.00","0.3","0.1","0.271","0.5","1.05","2.5"\n')

    assert told == {"rate": 111_000.0, "p50_ms": 0.271, "p99_ms": 1.05, "max_ms": 2.5}


def test_output_without_a_heading_stops_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match=r"6\.2 or newer"):
        read('"GET vec:__rand_int__","111000.00"\n')
