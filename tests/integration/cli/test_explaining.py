"""explain: a real server process, asked over HTTP."""

from collections.abc import Callable

import pytest

from tests.integration.cli.conftest import Result

Insitu = Callable[..., Result]


def test_what_each_feature_adds_is_drawn(insitu: Insitu, server: str) -> None:
    drawn = insitu("explain", "churn", "customer:2", "--url", server)

    lines = drawn.out.splitlines()
    assert drawn.code == 0
    assert lines[0].startswith("customer:2: leaves ")
    assert lines[1].split() == ["feature", "value", "reference", "less", "more", "adds"]
    assert {line.split()[0] for line in lines[2:4]} == {"age", "spend"}
    assert all("│" in line for line in lines[2:4])
    assert lines[4] == "compared with zeros; every combination was run"


def test_the_same_comes_as_json(insitu: Insitu, server: str) -> None:
    wish = ("--label", "stays", "--reference", '{"x": [[35, 30]]}', "--samples", "99", "--seed", "3")

    data = insitu("explain", "churn", "customer:2", *wish, "--json", INSITU_URL=server).json

    (row,) = data["explanations"]
    assert (row["label"], row["reference"]) == ("stays", "the request")
    added = sum(one["contribution"] for one in row["contributions"])
    assert added == pytest.approx(row["prediction"] - row["baseline"], abs=1e-9)


def test_every_way_of_asking_is_explained_alike(insitu: Insitu, server: str) -> None:
    ways = [
        ("customer:1",),
        ("customer:1", "--version", "1"),
        ("--instances", '[{"id": 1}]'),
        ("--inputs", '{"x": [[60, 10]]}', "--output", "y", "--element", "0"),
    ]

    rows = [
        insitu("explain", "churn", *way, "--json", "--url", server).json["explanations"][0] for way in ways
    ]

    assert [row["contributions"] for row in rows] == [rows[0]["contributions"]] * 4


def test_a_bad_row_fails_alone_and_the_command_says_so(insitu: Insitu, server: str) -> None:
    mixed = insitu("explain", "churn", "customer:1", "customer:3", "--url", server)

    assert mixed.code == 1
    assert "customer:1: stays" in mixed.out
    assert "customer:3: key 'customer:3' has no field 'age'" in mixed.out
    assert "1 of 2 rows could not be explained" in mixed.err


def test_a_value_that_stood_in_is_named(insitu: Insitu, server: str) -> None:
    filled = insitu("explain", "churn", "customer:3", "--missing", "40", "--url", server)

    assert "filled: age" in filled.out


def test_what_is_refused_is_the_servers_own_error(insitu: Insitu, server: str) -> None:
    label = insitu("explain", "churn", "customer:1", "--label", "stay", "--url", server)
    pattern = insitu("explain", "churn", "customer:*", "--url", server)
    away = insitu("explain", "churn", "customer:1")

    assert (label.code, pattern.code, away.code) == (1, 1, 3)
    assert "did you mean 'stays'?" in label.error
    assert "insitu score churn --match 'customer:*'" in pattern.err
