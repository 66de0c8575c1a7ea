"""What HGETALL gives becomes what HMGET of the fields gives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from models.whole_hashes import WholeHash

NAMES = [b"a", b"b", b"c"]
values = st.binary(max_size=4)
hashes = st.dictionaries(st.sampled_from([*NAMES, b"d", b"a ", b"5"]), values)


def whole(held: dict[bytes, bytes]) -> list[bytes]:
    return [part for pair in held.items() for part in pair]


@given(st.lists(hashes, max_size=8), st.permutations(NAMES), st.integers(1, 3))
def test_values_are_put_in_the_order_of_the_fields(
    several: list[dict[bytes, bytes]], names: list[bytes], count: int
) -> None:
    wanted = names[:count]
    one = WholeHash(wanted)

    assert [one.chosen(whole(held)) for held in several] == [[*map(held.get, wanted)] for held in several]


@pytest.mark.parametrize("reply", [ResponseError("WRONGTYPE"), None, b"text", 7])
def test_what_is_no_hash_stays_as_it_came(reply: Any) -> None:
    assert WholeHash(NAMES).chosen(reply) is reply
