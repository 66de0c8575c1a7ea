"""The words of AI.MODELSTORE and AI.MODELSET are taken in RedisAI's order, and refused in its words."""

import pytest

from server.resp.commands.model_parsing import parse_modelset, parse_modelstore
from server.resp.refusals import Refused

BATCHING = "BATCHSIZE 8 MINBATCHSIZE 2 MINBATCHTIMEOUT 5"


def words(text: str) -> list[bytes]:
    return text.encode().split()


@pytest.mark.parametrize("parse", [parse_modelstore, parse_modelset])
def test_every_option_is_kept(parse) -> None:
    wanted = parse(words(f"m onnx cpu:1 tag v1 {BATCHING} blob one two"), 3)

    said = wanted.execution
    assert (wanted.key, wanted.chunks) == (b"m", [b"one", b"two"])
    assert (said.place, said.db, said.device, said.tag) == (b"m", 3, "cpu:1", "v1")
    assert (said.batch_rows, said.min_batch_rows, said.min_batch_wait_ms) == (8, 2, 5)


def test_keys_and_tags_are_any_bytes() -> None:
    wanted = parse_modelstore([b"m\xff\x00", b"ONNX", b"CPU", b"TAG", b"\xfe", b"BLOB", b""], 0)

    assert wanted.execution.place == b"m\xff\x00"
    assert wanted.execution.tag == "\\xfe"


def test_without_options_nothing_is_set() -> None:
    said = parse_modelstore(words("m ONNX GPU:0 BLOB x"), 0).execution

    assert (said.device, said.tag) == ("GPU:0", "")
    assert (said.batch_rows, said.min_batch_rows, said.min_batch_wait_ms) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m CAFFE CPU BLOB x", "unsupported backend"),
        ("m ONNX TPU BLOB x", "Invalid DEVICE"),
        ("m ONNX CPU: BLOB x", "Invalid DEVICE"),
        ("m ONNX CPU:123456 BLOB x", "Invalid DEVICE"),
        ("m CAFFE TPU BLOB x", "unsupported backend"),
        ("m ONNX CPU BATCHSIZE x BLOB x", "Invalid argument for BATCHSIZE"),
        ("m ONNX CPU BATCHSIZE -1 BLOB x", "Invalid argument for BATCHSIZE"),
        ("m ONNX CPU BATCHSIZE 2 MINBATCHSIZE 1.5 BLOB x", "Invalid argument for MINBATCHSIZE"),
        (
            "m ONNX CPU BATCHSIZE 2 MINBATCHSIZE 1 MINBATCHTIMEOUT x BLOB x",
            "Invalid argument for MINBATCHTIMEOUT",
        ),
        ("m ONNX CPU MINBATCHSIZE 2 BLOB x", "MINBATCHSIZE specified without BATCHSIZE"),
        ("m ONNX CPU BATCHSIZE 2 MINBATCHTIMEOUT 2 BLOB x", "MINBATCHTIMEOUT specified without MINBATCHSIZE"),
        ("m TF CPU INPUTS 1 a OUTPUTS 1 b BLOB x", "Could not load backend"),
        ("m TORCH CPU BLOB x", "Could not load backend"),
    ],
)
def test_what_does_not_fit_is_refused_in_redisais_words(text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_modelstore(words(text), 0)

    assert str(refused.value) == f"ERR {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m ONNX CPU INPUTS 1 a BLOB x", "INPUTS argument should not be specified for this backend"),
        ("m ONNX CPU MINBATCHTIMEOUT 2 BLOB x", "MINBATCHTIMEOUT specified without MINBATCHSIZE"),
        ("m ONNX CPU TAG BLOB x", "Invalid argument, expected BLOB"),
        ("m ONNX CPU BATCHSIZE 2", "Insufficient arguments, missing model BLOB"),
        ("m ONNX CPU x BLOB y", "Invalid argument, expected BLOB"),
        ("m ONNX CPU BATCHSIZE 2 TAG t BLOB x", "Invalid argument, expected BLOB"),
    ],
)
def test_modelstore_takes_its_options_in_their_order(text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_modelstore(words(text), 0)

    assert str(refused.value) == f"ERR {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m ONNX CPU", "Insufficient arguments, missing model BLOB"),
        ("m ONNX CPU BLOB", "Insufficient arguments, missing model BLOB"),
        ("m ONNX CPU x y", "Insufficient arguments, missing model BLOB"),
        ("m ONNX CPU MINBATCHTIMEOUT 2 BLOB x", "MINBATCHTIMEOUT specified without BATCHSIZE"),
        ("m TF CPU BLOB x", "Insufficient arguments, INPUTS and OUTPUTS not specified"),
        ("m TF CPU OUTPUTS a BLOB x", "INPUTS not specified"),
        ("m TF CPU INPUTS a BLOB x", "OUTPUTS not specified"),
        ("m TF CPU INPUTS a OUTPUTS b BLOB x", "Could not load backend"),
    ],
)
def test_modelset_has_words_of_its_own(text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_modelset(words(text), 0)

    assert str(refused.value) == f"ERR {told}"


def test_modelset_passes_over_what_stands_before_the_file() -> None:
    assert parse_modelset(words("m ONNX CPU INPUTS a OUTPUTS b BLOB x"), 0).chunks == [b"x"]


def test_a_key_that_no_manifest_can_hold_is_refused() -> None:
    with pytest.raises(Refused, match="65536 characters"):
        parse_modelstore([b"k" * 70_000, b"ONNX", b"CPU", b"BLOB", b"x"], 0)
