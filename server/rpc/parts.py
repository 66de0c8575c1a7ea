"""How many parts a message has, counted before it is read: each becomes an object a hundred times as large as it.

Fields are skipped, not read. What is no message is left to the parser, which says what is wrong with it.

Source: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator, Mapping

from models.errors import BadRequest

PARTS_MOST = 1 << 15
SHORT_BYTES = 1 << 14  # of a message whose parts take little, however many they are
SHAPE_BYTES = 640  # of 64 axes; a longer shape counts by its bytes
INPUTS, OUTPUTS, SHAPE = 5, 6, 3
# The fields of a message that have parts of their own, and which of those are numbers that lie together.
WITHIN: Mapping[str, Mapping[int, int | None]] = {"ModelInferRequest": {INPUTS: SHAPE, OUTPUTS: None}}
FIXED = {1: 8, 3: 0, 4: 0, 5: 4}  # bytes behind a tag, by its wire type
NUMBER, LENGTHENED = 0, 2
Field = tuple[int, int, int]  # its number, and where it begins and ends


def check_parts(name: str, data: bytes) -> None:
    """Refuse a message of more parts than any request has a use for.

    Raises: BadRequest.
    """
    if len(data) <= SHORT_BYTES:
        return
    within, parts = WITHIN.get(name, {}), 0
    try:
        for number, start, end in fields(data, 0, len(data)):
            parts += (
                1 if number not in within else inner(data, start, end, within[number], PARTS_MOST - parts)
            )
            if parts > PARTS_MOST:
                raise BadRequest(
                    f"the {len(data)} bytes are a {name} of more than {PARTS_MOST} parts (inputs, outputs and what is "
                    "said of each, tensors, parameters); send them in several requests",
                    parts_limit=PARTS_MOST,
                )
    except (IndexError, ValueError):
        return


def inner(data: bytes, start: int, end: int, numbers: int | None, most: int) -> int:
    """Return how many parts a field has, itself among them; one more than `most` where there are more."""
    parts = 1
    for number, first, last in fields(data, start, end):
        size = last - first
        parts += size if number == numbers and size > SHAPE_BYTES else 1
        if parts > most:
            break
    return parts


def fields(data: bytes, at: int, end: int) -> Iterator[Field]:
    """Give the fields between two places of a message.

    Raises: IndexError, ValueError, they are no message.
    """
    while at < end:
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == LENGTHENED:
            size, at = varint(data, at)
        elif kind == NUMBER:
            size = varint(data, at)[1] - at
        elif kind in FIXED:
            size = FIXED[kind]
        else:
            raise ValueError(f"there is no wire type {kind}")
        yield tag >> 3, at, at + size
        at += size


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and where it ends.

    Raises: IndexError, it does not end; ValueError, it has more than ten bytes.
    """
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for place in range(1, 10):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number of more than ten bytes")
