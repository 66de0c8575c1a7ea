"""wrk: what its script prints is read back, and every kind of fault counts."""

from pathlib import Path

import pytest

from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.wrk import GET_WRK, Load, command, find_wrk, read

SEEN = (
    '{"requests": 20000, "microseconds": 2000000, "p50": 1234, "p90": 2000, "p99": 3456, "max": 9000, '
    '"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0, "wrong": 0, "changes": 0}'
)


def output(seen: str = SEEN, wrong: str = "") -> str:
    """What wrk prints, and then its script."""
    return (
        f"Running 2s test @ http://127.0.0.1\n  1 threads and 64 connections\n\nSEEN {seen}\nWRONG {wrong}\n"
    )


def test_rate_and_latency_come_in_seconds_and_milliseconds() -> None:
    seen = read(output())

    assert seen.figures["rate"] == 10_000
    assert (seen.figures["p50_ms"], seen.figures["p99_ms"], seen.figures["max_ms"]) == (1.234, 3.456, 9.0)
    assert seen.errors == 0


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout", "wrong"])
def test_every_kind_of_fault_is_an_error(kind: str) -> None:
    seen = read(output(SEEN.replace(f'"{kind}": 0', f'"{kind}": 3')))

    assert seen.errors == 3
    assert seen.faults[kind] == 3


def test_a_bad_status_that_the_script_saw_too_counts_once() -> None:
    both = SEEN.replace('"status": 0', '"status": 3').replace('"wrong": 0', '"wrong": 3')

    assert read(output(both)).errors == 3


def test_the_first_wrong_answer_is_kept() -> None:
    seen = read(output(wrong='404 {"error":{"code":"model_not_found"}}'))

    assert seen.sample == '404 {"error":{"code":"model_not_found"}}'


def test_wrk_that_says_nothing_stops_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="did not say what it saw: unable to connect"):
        read("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_wrk_without_an_answer_stops_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="no answer at all"):
        read(output(SEEN.replace("20000,", "0,")))


def test_missing_wrk_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Missing) as told:
        find_wrk()

    assert str(told.value) == GET_WRK
    assert "apt install wrk" in GET_WRK


def test_headers_bodies_and_the_check_are_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "wrk"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    load = Load("http://x/y", Path("b.txt"), 64, 2, {"Authorization": "Bearer t"}, "version")

    words = command(load)

    assert words[words.index("-H") + 1] == "Authorization: Bearer t"
    assert words[-5:] == ["http://x/y", "--", "b.txt", "0", "version"]
