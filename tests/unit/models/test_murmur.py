"""MurmurHash3 is the one that Feast uses, for every length of what is left over."""

import pytest

from models.murmur import murmur3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"a", 0x3C2569B2),
        (b"ab", 0x9BBFD75F),
        (b"abc", 0xB3DD93FA),
        (b"test", 0xBA6BD213),
        (b"Hello, world!", 0xC0363E43),
        (b"The quick brown fox jumps over the lazy dog", 0x2E4FF723),
        (b"driver_hourly_stats:conv_rate", 0xDAE36061),
    ],
)
def test_the_hash_is_that_of_the_reference(data: bytes, expected: int) -> None:
    assert murmur3(data) == expected
