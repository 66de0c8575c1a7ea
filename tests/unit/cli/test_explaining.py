"""An explanation as a person sees it in a terminal."""

from typing import Any

import pytest

from cli.explaining import bar, drawn, error_text, headline, name_text, value_text

ROW: dict[str, Any] = {
    "label": "stays",
    "output": "y",
    "prediction": 0.97,
    "baseline": 0.5,
    "reference": "median of 890 training rows",
    "method": "exact",
    "contributions": [
        {"feature": "age", "value": 40.0, "reference": 35.0, "contribution": 0.5, "error": 0.0},
        {"feature": "plan", "value": "paid", "reference": "free", "contribution": -0.25, "error": 0.0},
        {"feature": "walk:{id}[3]", "value": None, "reference": None, "contribution": 0.0, "error": 0.0},
        {"feature": "spend", "value": 12.5, "reference": 30.0, "contribution": 0.0, "error": 0.0},
    ],
}


def lines(top: int = 12, width: int = 80, ascii_only: bool = False) -> list[str]:
    return [line.plain.rstrip() for line in drawn(ROW, top, width, ascii_only=ascii_only)]


def test_bars_grow_from_the_middle_as_far_as_a_feature_adds() -> None:
    head, age, plan, walk, spend = lines(width=60)

    assert head.split() == ["feature", "value", "reference", "less", "more", "adds"]
    middle = age.index("│")
    assert {line.index("│") for line in (age, plan, walk, spend)} == {middle}
    assert age[middle + 1 :].split() == ["█" * age.count("█"), "+0.5"]
    assert plan.split("│")[0].rstrip().endswith("█")
    assert plan.count("█") == age.count("█") // 2
    assert plan.split()[:3] == ["plan", "paid", "free"]
    assert walk.split() == ["walk:{id}[3]", "│", "0"]


def test_a_terminal_without_such_characters_has_plain_ones() -> None:
    drawing = "\n".join(lines(ascii_only=True))

    assert drawing.isascii()
    assert "++++|" not in drawing
    assert "|++++" in drawing
    assert "---|" in drawing


def test_features_past_the_first_are_one_line_that_adds_them_up() -> None:
    shown = lines(top=1)

    assert len(shown) == 3
    assert shown[-1].split() == ["3", "more", "features", "│", "-0.25"]
    assert lines(top=3)[-1].split()[:3] == ["1", "more", "feature"]


def test_lines_fit_the_width_of_the_terminal() -> None:
    assert max(map(len, lines(width=72))) <= 72
    assert max(map(len, lines(width=200))) < 110


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (1.0, "    │████"),
        (0.5, "    │██  "),
        (-1.0, "████│    "),
        (-0.375, "  ▐█│    "),
        (0.28125, "    │█▏  "),
    ],
)
def test_a_bar_ends_within_a_character(share: float, shown: str) -> None:
    assert bar(share, 4).plain == shown


def test_the_first_line_says_what_is_explained() -> None:
    assert headline("customer:1", ROW) == "customer:1: stays 97.0%, 50.0% for the reference"
    value = {"output": "value", "element": 0, "prediction": 412.5, "baseline": 300.0}
    assert headline("flat:1", value) == "flat:1: value 412.5, 300 for the reference"
    assert headline("row 0", value | {"element": 3}).startswith("row 0: value[3] 412.5")


def test_how_exact_it_is_stands_below() -> None:
    assert error_text(ROW) == "every combination was run"
    sampled = {"method": "sampled", "sampling_error": 0.01234, "runs": 2033}
    assert error_text(sampled) == "each within 0.012 (95 %), from 2,033 runs"


def test_names_and_values_are_short_and_cannot_steer_a_terminal() -> None:
    assert name_text("a" * 30 + "b" * 30) == "a" * 20 + "…" + "b" * 19
    assert name_text("\x1b[31mred") == "\\x1b[31mred"
    assert value_text(12.500001) == "12.5"
    assert value_text(None) == ""
    assert value_text("paid") == "paid"


def test_a_number_of_several_is_said_in_words() -> None:
    row = {key: value for key, value in ROW.items() if key != "label"} | {"element": 2}

    assert headline("thing:1", {**row, "part": "step 3 of 4"}).startswith("thing:1: step 3 of 4 0.97")
    assert headline("thing:1", row).startswith("thing:1: y[2] 0.97")
