"""What the body of a POST asks."""

import json

import numpy as np

from server.rest.predict import of_bytes
from server.rest.wire import LARGE_BYTES


def test_tensors_of_a_large_body_are_arrays_by_the_time_the_event_loop_has_them() -> None:
    row = [1.5, 2.5]
    count = LARGE_BYTES // len(json.dumps(row)) + 1

    few = of_bytes("m", None, json.dumps({"inputs": {"x": [row]}}).encode(), None)
    many = of_bytes("m", None, json.dumps({"inputs": {"x": [row] * count, "t": ["a"]}}).encode(), None)

    assert few.inputs == {"x": [row]}
    assert many.inputs is not None
    assert isinstance(many.inputs["x"], np.ndarray)
    assert many.inputs["x"].tolist() == [row] * count
    assert many.inputs["t"] == ["a"]
