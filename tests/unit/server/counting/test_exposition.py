"""Text is what prometheus_client reads back, whatever labels hold, and costs the loop no long wait."""

import time
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from server.counting import exposition
from server.counting.exposition import Count, Histogram, Single, gently, labelled, written

WAITS = Histogram("wait_seconds", "Waiting", (0.00005, 0.1, 2), at=1)
VALUES = [9.0, 1.0, 2.0, 0.0, 4.0, 17.5]


def read_back(family: Single | Histogram | Count, labels: str, values: list[float]) -> dict[object, float]:
    text = family.head() + family.lines(labels, values)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for found in text_string_to_metric_families(text)
        for sample in found.samples
    }


def test_a_histogram_counts_up_to_each_bound() -> None:
    labels = labelled(("model",), ("churn",))

    samples = read_back(WAITS, labels, VALUES)

    model = ("model", "churn")
    assert samples == {
        ("wait_seconds_bucket", ("le", "5e-05"), model): 1,
        ("wait_seconds_bucket", ("le", "0.1"), model): 3,
        ("wait_seconds_bucket", ("le", "2.0"), model): 3,
        ("wait_seconds_bucket", ("le", "+Inf"), model): 7,
        ("wait_seconds_count", model): 7,
        ("wait_seconds_sum", model): 17.5,
    }


def test_a_histogram_may_have_no_labels() -> None:
    samples = read_back(WAITS, "", VALUES)

    assert samples[("wait_seconds_count",)] == 7
    assert samples["wait_seconds_bucket", ("le", "+Inf")] == 7


def test_a_histogram_that_observed_nothing_is_left_out() -> None:
    assert WAITS.lines("", [9.0, 0, 0, 0, 0, 0]) == ""


def test_counters_and_gauges_are_told_from_the_first_on() -> None:
    waits = Count("waits_total", "Waits", WAITS)

    assert read_back(waits, "", VALUES) == {("waits_total",): 7}
    assert read_back(waits, "", [0.0] * 6) == {("waits_total",): 0}
    assert read_back(Single("up", "Up", kind="gauge"), "", [1.0]) == {("up",): 1}
    assert "# TYPE up gauge\n" in Single("up", "Up", kind="gauge").head()


def test_labels_hold_any_text() -> None:
    nasty = 'a"b\\c\nd%se{f}\0,g'

    for family in (WAITS, Single("rows_total", "Rows")):
        samples = read_back(family, labelled(("model", "version"), (nasty, "1")), VALUES)
        assert {dict(name[1:])["model"] for name in samples} == {nasty}  # type: ignore[index]  # a tuple


def slowly(items: int) -> Iterator[int]:
    for item in range(items):
        time.sleep(exposition.WORK_SECONDS)
        yield item


def test_work_is_done_in_pieces_with_pauses() -> None:
    begun = time.perf_counter()

    assert list(gently(range(3))) == [0, 1, 2]
    assert list(gently(slowly(3))) == [0, 1, 2]
    assert written(str(number) for number in range(12)) == b"01234567891011"

    assert time.perf_counter() - begun >= 3 * (exposition.WORK_SECONDS + exposition.PAUSE_SECONDS)
