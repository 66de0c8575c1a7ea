"""Messages of many parts: refused before anything of them is made, and no others are."""

import pytest

from models.errors import BadRequest
from server.rpc.messages import message, parsed
from server.rpc.parts import PARTS_MOST, SHORT_BYTES

MANY = PARTS_MOST + 1
KIND = "ModelInferRequest"


def within(tag: int, data: bytes) -> bytes:
    """Return a field of bytes."""
    size, length = len(data), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes((tag, *length, size)) + data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (KIND, b"\x2a\x00" * MANY),
        (KIND, b"\x32\x00" * MANY),
        (KIND, b"\x3a\x00" * MANY),
        (KIND, b"".join(within(0x22, within(0x0A, b"%d" % one)) for one in range(MANY))),
        (KIND, within(0x2A, b"".join(within(0x22, within(0x0A, b"%d" % one)) for one in range(MANY)))),
        (KIND, within(0x32, b"".join(within(0x12, within(0x0A, b"%d" % one)) for one in range(MANY)))),
        (KIND, within(0x2A, within(0x1A, b"\x01" * MANY))),
        (KIND, within(0x2A, b"\x18\x01" * MANY)),
        ("RepositoryModelLoadRequest", b"".join(within(0x1A, within(0x0A, b"%d" % one)) for one in range(MANY))),
    ],
    ids=[
        "inputs",
        "outputs",
        "tensors",
        "parameters",
        "parameters of an input",
        "parameters of an output",
        "dimensions",
        "dimensions one by one",
        "parameters of a load",
    ],
)  # fmt: skip
def test_a_message_of_too_many_parts_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(BadRequest, match=f"a {name} of more than {PARTS_MOST} parts .* in several requests"):
        parsed(name, data)


def test_many_inputs_with_many_values_are_read() -> None:
    request = message(KIND)(model_name="m")
    for place in range(2000):
        one = request.inputs.add(name=f"field_{place}", datatype="BYTES", shape=[1, 300])
        one.contents.bytes_contents.extend([b"a"] * 300)
        one.parameters["a"].bool_param = True
        request.outputs.add(name=f"answer_{place}")
    request.raw_input_contents.append(bytes(1 << 20))
    data = request.SerializeToString()

    assert len(data) > SHORT_BYTES
    assert parsed(KIND, data) == request


def test_fields_that_nobody_knows_are_passed_over() -> None:
    unknown = b"\xf8\x01\xff\xff\x03" + b"\xf9\x01" + bytes(8) + b"\xfd\x01" + bytes(4) + b"\xfb\x01\xfc\x01"

    assert parsed(KIND, unknown * 1000 + within(0x0A, b"m" * SHORT_BYTES)).model_name == "m" * SHORT_BYTES


@pytest.mark.parametrize("end", [b"\x2a\xff", b"\xff" * 12, b"\x2f", b"\x2a\x05\x00"])
def test_what_is_no_message_is_told_as_such(end: bytes) -> None:
    with pytest.raises(BadRequest, match=f"bytes are no {KIND}"):
        parsed(KIND, within(0x3A, bytes(SHORT_BYTES)) + end)
