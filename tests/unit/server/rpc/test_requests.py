"""What a ModelInferRequest says beside its tensors is read from any of the fields that a parameter may have."""

from typing import Any

import pytest

from models.errors import BadName
from server.rpc.messages import message
from server.rpc.requests import infer_of


@pytest.mark.parametrize(
    ("given", "priority"),
    [
        ({"uint64_param": 1}, 1),  # as tritonclient says it
        ({"int64_param": 10}, 10),
        ({"uint64_param": 0}, 0),
        ({}, 0),
    ],
)
def test_a_priority_is_a_whole_number_of_either_kind(given: dict[str, Any], priority: int) -> None:
    request = message("ModelInferRequest")(model_name="m", parameters={"priority": given})

    assert infer_of(request).priority == priority


@pytest.mark.parametrize(
    ("version", "meant"), [("", None), ("7", "7"), ("0" * 9, "0" * 9), ("v" * 40, "v" * 40)]
)
def test_a_version_is_passed_on_as_it_is_written(version: str, meant: str | None) -> None:
    assert infer_of(message("ModelInferRequest")(model_version=version)).reference == meant


def test_a_number_that_no_version_has_is_named_whole() -> None:
    with pytest.raises(BadName, match=r"version '1{40}' is not a valid name: a number of at most 9 digits"):
        infer_of(message("ModelInferRequest")(model_version="1" * 40))
