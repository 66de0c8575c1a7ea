"""How a model at a key was stored survives its stored form, whatever bytes its key has."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.execution import Execution, bytes_of, text_of


@given(st.binary(max_size=64))
def test_any_bytes_are_read_from_the_text_they_are_written_as(data: bytes) -> None:
    assert bytes_of(text_of(data)) == data
    assert text_of(data).encode().decode() == text_of(data)


def test_the_text_of_a_key_is_readable() -> None:
    assert text_of("modèle:1".encode()) == "modèle:1"
    assert text_of(b"m\xff\\x") == "m\\xff\\\\x"


def test_an_execution_survives_its_stored_form() -> None:
    whole = Execution(
        key=text_of(b"m\xff"),
        db=3,
        device="CPU:1",
        tag="v1",
        batch_rows=8,
        min_batch_rows=2,
        min_batch_wait_ms=5,
    )

    assert Execution.model_validate_json(whole.model_dump_json()) == whole
    assert json.loads(whole.model_dump_json())["key"] == "m\\xff"
    assert whole.place == b"m\xff"


@pytest.mark.parametrize("facts", [{}, {"key": "m", "batch_rows": -1}, {"key": "m", "more": 1}])
def test_what_says_too_little_or_too_much_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Execution.model_validate(facts)
