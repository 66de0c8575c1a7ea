"""A part is taken out of Redis as it was put in."""

from hypothesis import given
from hypothesis import strategies as st

from server.batch.parts import Part, readable, texts_of

KEYS = st.lists(st.binary(min_size=1, max_size=12).map(lambda key: key.replace(b"\0", b"_")), min_size=1)
INSTANCES = st.lists(
    st.dictionaries(st.text(max_size=5), st.none() | st.integers(-9, 9) | st.text(max_size=5)), min_size=1
)


def decodes(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(KEYS)
def test_keys_are_taken_out_as_they_were_put_in(keys: list[bytes]) -> None:
    found = Part.unpacked(Part(keys).packed())

    assert (list(found.keys), len(found)) == (keys, len(keys))
    assert texts_of(found.keys) == [key.decode("utf-8", "surrogateescape") for key in keys]


@given(INSTANCES, st.integers(0, 10**9))
def test_instances_too(instances: list[dict], first: int) -> None:
    found = Part.unpacked(Part((), instances, first).packed())

    assert (list(found.instances), found.first) == (instances, first)
    assert [part.first - first for part in found.split(2)] == list(range(0, len(instances), 2))


@given(KEYS)
def test_keys_that_are_no_text_are_told_apart(keys: list[bytes]) -> None:
    texts, odd = readable(keys)

    assert [text.encode() for text in texts] == [key for key in keys if decodes(key)]
    assert odd == [key.decode("utf-8", "backslashreplace") for key in keys if not decodes(key)]


@given(KEYS, st.integers(1, 5))
def test_a_part_is_split_without_loss(keys: list[bytes], rows: int) -> None:
    parts = Part(keys).split(rows)

    assert [key for part in parts for key in part.keys] == keys
    assert all(0 < len(part) <= rows for part in parts)


def test_nothing_is_nothing() -> None:
    assert texts_of([]) == []
    assert Part().split(5) == []
