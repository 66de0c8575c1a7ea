"""docs/metrics.md and the dashboard name exactly the series that a server tells."""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import Metrics
from server.rest.errors import STATUS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "metrics.md").read_text()
BOARD: dict[str, Any] = json.loads((DOCS / "grafana.json").read_text())
TABLE = {
    name: (kind, labels)
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ?([\w, ]*?) \|", PAGE, re.MULTILINE)
}
NAME = re.compile(r"\b(?:insitu|process|python)_\w+")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of processes on Linux alone")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    """Every family, each with at least one sample, as a server with workers tells it."""
    metrics = Metrics(tmp_path_factory.mktemp("metrics"))
    churn = metrics.of("churn", 1)
    churn.request(1, 0.1)
    churn.read(0.1)
    churn.waited(0.1)
    churn.batch(1, 1, 0.1, 0.1, time.monotonic())
    churn.aged(1)
    churn.shadowed(1, 0, 0.1)
    metrics.failed("churn", "key_missing", version=1)
    metrics.pipeline(1, 0.1)
    metrics.loaded("churn", 1, "CPUExecutionProvider", 1)
    metrics.pending("churn", 1)
    told = metrics.exposition().decode()
    metrics.close()
    return list(text_string_to_metric_families(told))


@pytest.fixture
def samples(families: list[Metric]) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def expressions() -> Iterator[str]:
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in BOARD["templating"]["list"]:
        yield variable.get("definition", "")


def test_every_series_is_in_the_table_with_its_type_and_labels(families: list[Metric]) -> None:
    told = {}
    for family in families:
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        ours = family.type == "counter" and not family.name.startswith("nv_")  # Triton's have no _total
        name = f"{family.name}_total" if ours else family.name
        told[name] = (family.type, labels)

    explained = {
        name: (kind, {label for label in labels.split(", ") if label})
        for name, (kind, labels) in TABLE.items()
    }
    told["python_info"] = ("gauge", set())
    assert explained == told


def test_every_question_asks_for_series_that_are_there(samples: set[str]) -> None:
    asked = {name for line in PAGE.splitlines() if line.startswith("    ") for name in NAME.findall(line)}

    assert asked
    assert asked <= samples


def test_the_question_of_faults_is_for_the_codes_that_are_no_mistake_of_a_caller() -> None:
    faults = re.search(r"insitu_errors_total\{code=~\s*\"([^\"]+)\"", PAGE)
    ours = {one.code for one, status in STATUS.items() if status >= 500 or status == 429}

    assert faults is not None
    assert {code for code in every_code() if re.fullmatch(faults[1], code)} == ours


def every_code() -> set[str]:
    return {kind.code for one in STATUS for kind in (one, *one.__subclasses__())}


def test_every_panel_draws_series_that_are_there(samples: set[str]) -> None:
    drawn = {name for expression in expressions() for name in NAME.findall(expression)}

    assert drawn <= samples


def test_the_dashboard_draws_every_series_of_ours(families: list[Metric]) -> None:
    drawn = " ".join(expressions())

    ours = [family.name for family in families if family.name.startswith("insitu")]
    assert [name for name in ours if name not in drawn] == []


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        across, down = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in across for y in down}
        assert max(across) < 24
        assert not taken & cells, panel["title"]
        taken |= cells

    names = [panel["title"] for panel in BOARD["panels"]]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(set(names)) == len(names)


def test_every_panel_asks_the_chosen_prometheus() -> None:
    sources = {
        target["datasource"]["uid"] for panel in BOARD["panels"] for target in panel.get("targets", ())
    }

    assert sources == {"${datasource}"}
    assert BOARD["templating"]["list"][0]["name"] == "datasource"
