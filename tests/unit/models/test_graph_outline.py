"""The outline of an ONNX file says what the file says, without the bytes of its weights."""

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from models import graph
from models.errors import BadModelFile
from models.graph import GraphSummary, inspect_graph, summary
from models.graph_outline import FIELDS_LIMIT, as_varint, outline
from tests import graphs

WEIGHTS = np.arange(2000, dtype=np.float32).reshape(2, 1000)
LARGE = graphs.dense(WEIGHTS, "Softmax")
FILES = [
    LARGE,
    graphs.scaled(),
    graphs.heavy(1.0, size=64),
    graphs.looping(3),
    graphs.last_step(),
    graphs.looked_up(np.ones((500, 2), np.float32)),
]


def said(data: bytes) -> GraphSummary | str:
    """What a file says, or what it is refused for."""
    try:
        return summary(onnx.load_model_from_string(data))
    except BadModelFile as error:
        return str(error)
    except (DecodeError, ValueError):
        return "no ONNX"


@pytest.mark.parametrize("data", FILES)
def test_an_outline_says_what_the_file_says(data: bytes) -> None:
    assert said(outline(data)) == said(data)


def test_the_bytes_of_large_weights_are_left_out_and_nothing_else() -> None:
    whole, rest = onnx.load_model_from_string(LARGE), onnx.load_model_from_string(outline(LARGE))

    assert len(outline(LARGE)) < len(LARGE) - WEIGHTS.nbytes
    (weight,) = whole.graph.initializer
    assert len(weight.raw_data) == WEIGHTS.nbytes
    weight.ClearField("raw_data")
    assert rest == whole


def test_small_weights_stay() -> None:
    assert outline(graphs.scaled()) == graphs.scaled()


def test_a_large_weight_in_another_file_is_still_refused() -> None:
    model = onnx.load_model_from_string(LARGE)
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL

    assert "external data" in str(said(outline(model.SerializeToString())))


@pytest.mark.parametrize(
    "few", [b"", graphs.model([], [], [], {f"w{at}": np.ones(1000, np.float32) for at in range(10)})]
)
def test_a_file_of_very_many_fields_is_left_as_it_is(few: bytes) -> None:
    unknown = b"\x78\x78"  # field 15, of which no file has one
    many = few + unknown * (FIELDS_LIMIT + 1)

    assert outline(many) is many
    assert len(outline(few + unknown * 1000)) <= len(few) + 2000


def test_the_fields_of_all_weights_count_together() -> None:
    weight = b"\x78\x78" * 1000
    entry = b"\x2a\xd0\x0f" + weight  # field 5, of 2,000 bytes
    inner = entry * (FIELDS_LIMIT // 1000 + 1)
    file = b"\x3a" + as_varint(len(inner)) + inner

    assert outline(file) is file


@given(st.data())
def test_a_damaged_file_is_refused_as_it_would_be_whole(data: st.DataObject) -> None:
    damaged = bytearray(LARGE)
    for at in data.draw(st.lists(st.integers(0, 400), max_size=3)):
        damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])

    assert said(outline(cut)) == said(cut)


@pytest.mark.parametrize("data", FILES)
def test_a_large_file_is_inspected_by_its_outline(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "LARGE_BYTES", 0)

    assert inspect_graph(data) == said(data)
    with pytest.raises(BadModelFile, match="these bytes are no ONNX model"):
        inspect_graph(data[:-1])
