"""What a ModelInferRequest says beside its tensors is read from any of the fields that a parameter may have."""

from typing import Any

import pytest

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
