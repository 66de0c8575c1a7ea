"""What stands before a message: a compressed one is made again in parts, within its bounds."""

import zlib

import grpc
import pytest

from server.rpc.wire import Inflation, Limit, Refused

MESSAGE = bytes(range(256)) * 64
PACKED = zlib.compress(MESSAGE)


def test_a_small_message_is_inflated_at_once() -> None:
    assert Inflation(PACKED, b"deflate", Limit(1 << 20)).first(len(MESSAGE)) == MESSAGE


@pytest.mark.parametrize("most", [0, 1, 1000, len(MESSAGE) - 1])
def test_a_larger_one_goes_on_where_it_was_left(most: int) -> None:
    inflation = Inflation(PACKED, b"deflate", Limit(len(MESSAGE)))

    assert inflation.first(most) is None
    assert inflation.whole() == MESSAGE


def test_it_may_be_inflated_whole_from_the_beginning() -> None:
    assert Inflation(PACKED, b"deflate", Limit(len(MESSAGE))).whole() == MESSAGE


@pytest.mark.parametrize("most", [100, 1 << 20])
def test_no_byte_over_the_limit_but_one_is_made(most: int) -> None:
    inflation = Inflation(PACKED, b"deflate", Limit(1000))

    assert inflation.first(most) is None
    with pytest.raises(Refused, match="a message has 1001 bytes, the limit is 1000") as refused:
        inflation.whole()
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("most", [10, len(MESSAGE)])
def test_a_message_that_is_cut_off_is_refused(most: int) -> None:
    inflation = Inflation(PACKED[:-1], b"deflate", Limit(len(MESSAGE)))

    with pytest.raises(Refused, match="cut off"):
        inflation.first(most) or inflation.whole()


@pytest.mark.parametrize("more", [PACKED, b"\x00"])
@pytest.mark.parametrize("most", [10, len(MESSAGE)])
def test_nothing_after_its_end_is_left_out_in_silence(more: bytes, most: int) -> None:
    inflation = Inflation(PACKED + more, b"deflate", Limit(len(MESSAGE)))

    with pytest.raises(Refused, match="bytes follow the end") as refused:
        inflation.first(most) or inflation.whole()
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_damaged_one_is_refused() -> None:
    with pytest.raises(Refused, match="not compressed as it says"):
        Inflation(b"abc", b"gzip", Limit(100)).first(100)


def test_a_way_that_was_not_said_is_refused() -> None:
    with pytest.raises(Refused, match="in a way that was not said"):
        Inflation(PACKED, None, Limit(100))
