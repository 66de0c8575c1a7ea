"""Numbers as people write them are told from what is none, and from what needs no mending."""

import pytest

from models.errors import NotANumber
from models.number_marks import CURE, marked


@pytest.mark.parametrize(
    "text",
    [
        "1,5",
        "-1.234,50",
        "1 234,5",
        "1234,5",
        "1,234",
        "1,234,567.8",
        "1'234.5",
        "12%",
        "1,5 €",
        "$5",
        " 1,5 ",
    ],
)
def test_a_number_with_marks_is_told_how_to_be_written(text: str) -> None:
    assert marked(text)
    assert marked(text.encode())
    assert str(NotANumber("field 'a'", text, "float32")).endswith(f"; {CURE}")


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "1.5",
        "-3e5",
        "",
        "much",
        "192.168.0.1",
        "1.2.3",
        "31.12.2026",
        "1,2,3",
        "12:30",
        "C1,5",
        "nan",
        300,
    ],
)
def test_anything_else_is_not(text: object) -> None:
    assert not marked(text)
    assert str(NotANumber("field 'a'", text, "uint8")).endswith("which is not a uint8 number")
