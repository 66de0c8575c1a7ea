"""Results: a file holds every single measurement, and can be drawn again."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.claims import Claim, figure, judge
from benchmarks.measurements import Measurement, Measurements, Series
from benchmarks.options import Options
from benchmarks.results import Header

SERIES = Series("soak", "Insitu", "full load")
HEADER = Header(
    datetime(2026, 11, 22, 21, 30, tzinfo=UTC),
    "python -m benchmarks",
    {"processor": "P", "cores": 2, "memory_gib": 8.0, "system": "Linux"},
    {"python": "3.11.7"},
    ("something is left out",),
)
MADE = Measurements([Measurement(SERIES, 1, {"rate": 10.0}, ((0.0, 100.0), (1.0, 101.0)))])


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = results.write(tmp_path / "new", "name", HEADER, MADE, [])

    header, measurements = results.read(path)

    assert header == HEADER
    assert measurements == MADE


def test_targets_are_kept_with_what_was_reached(tmp_path: Path) -> None:
    judged = judge(Claim("rate", figure(SERIES, "rate"), least=20.0, unit="/s"), MADE)

    data = json.loads(results.write(tmp_path, "name", HEADER, MADE, [judged]).read_text())

    assert data["targets"] == [
        {"what": "rate", "target": "at least 20 /s", "reached": 10.0, "verdict": "missed"}
    ]
    assert data["command"] == "python -m benchmarks"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (Options(), "2026-11-22-2130"),
        (Options(quick=True), "2026-11-22-2130-part"),
        (Options(only=("soak",)), "2026-11-22-2130-part"),
    ],
)
def test_a_partial_run_is_named_so(options: Options, name: str) -> None:
    assert results.stem(HEADER, options) == name


def test_the_picture_is_drawn_from_what_was_measured(tmp_path: Path) -> None:
    picture = pytest.importorskip("benchmarks.picture")

    drawn = picture.draw(HEADER, MADE, tmp_path, "name")

    assert [path.name for path in drawn] == ["name-memory.png"]
    assert drawn[0].read_bytes().startswith(b"\x89PNG")
