"""A configuration that a load brings along is checked, and passed over where it concerns nobody here."""

import json
from typing import Any

import pytest

from models.errors import BadRequest
from server.open_inference.given_config import FIELDS, check_config
from server.open_inference.repository import file_in


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"backend": "onnxruntime", "max_batch_size": 8, "input": [], "dynamic_batching": {}},
        {"platform": "onnxruntime_onnx", "name": "churn"},
        {"platform": "onnx_onnxv1", "name": ""},
        dict.fromkeys(set(FIELDS) - {"name", "platform", "backend"}, 1),
    ],
)
def test_an_onnx_model_is_taken(config: dict[str, Any]) -> None:
    check_config("churn", json.dumps(config))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"backend": "pytorch"}', "says backend 'pytorch'; this server runs ONNX alone: onnxruntime, onnx"),
        ('{"platform": "ensemble"}', "says platform 'ensemble'"),
        ('{"backend": ["onnx"]}', "says backend"),
        ('{"name": "digits"}', "for model 'digits', the request loads 'churn'"),
        ('{"max_batchsize": 8}', "'max_batchsize' that is not known; did you mean 'max_batch_size'"),
        ('{"mine": 8}', "'mine' that is not known; leave it out"),
        ("{", "is no JSON"),
        ("[]", "send a JSON object"),
        ({"backend": "onnxruntime"}, "as a text of JSON"),
        (None, "as a text of JSON"),
    ],
)
def test_what_is_no_onnx_model_of_that_name_is_refused(config: object, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        check_config("churn", config)


def test_the_file_of_a_load_is_found() -> None:
    assert file_in({"config": "{}", "file:1/model.onnx": b"onnx"}) == b"onnx"
    assert file_in({"config": "{}"}) is None
    assert file_in({}) is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"file:1/model.onnx": b"", "file:1/model.data": b""}, "takes one ONNX file"),
        ({"file:1/model.pt": b""}, "takes one ONNX file"),
        ({"file:1/model.onnx": "b25ueA=="}, "holds str; send the bytes"),
        ({"cofnig": "{}"}, "not cofnig"),
    ],
)
def test_what_is_no_file_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        file_in(parameters)
