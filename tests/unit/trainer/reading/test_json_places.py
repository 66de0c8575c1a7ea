"""Texts of cells become JSON that reads back as the same number, or stay texts."""

import json

import pytest

from trainer.reading.json_places import number_or_text


@pytest.mark.parametrize("text", ["0", "-7", "1.5", "1e5", str(2**64 - 1), str(-(2**63)), "true"])
def test_what_json_reads_back_is_a_number(text: str) -> None:
    assert number_or_text(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", ["007", "1_000", "NaN", "-Infinity", "1e400", str(2**64), str(-(2**63) - 1), "9" * 5000, "null"]
)
def test_what_it_would_read_back_otherwise_stays_a_text(text: str) -> None:
    assert number_or_text(text) == text
