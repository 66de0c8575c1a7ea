"""Keys to slots to nodes, as a cluster words them."""

import pytest

from models.encoding import encoded
from server.inference.reading.slots import owners_in, slot_of, tag_beside, target_of


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "123456789"),
        ("HMGET", "{123456789}:a", "GET", "other"),
        ("JSON.GET", "a\r\n{123456789}\r\n", "$.x"),
        ("EVALSHA", "0" * 40, "2", "123456789", "other"),
        ("EVAL", "return {1}\r\n$3\r\n", "1", "a{123456789}", "{b}"),
    ],
)
def test_a_commands_slot_is_that_of_its_first_key(command: tuple[str, ...]) -> None:
    # the test vector of CRC16/XMODEM, which the cluster specification names
    assert slot_of(encoded(command)) == 0x31C3


def test_a_key_of_any_bytes_has_the_slot_that_redis_gives_it() -> None:
    key = b"\x01\x00\r\n$3\r\n{123456789}\xff"

    assert slot_of(encoded(("HMGET", key, b"\xda\r\n"))) == 0x31C3


def test_an_empty_key_and_an_empty_tag_have_slots_too() -> None:
    assert slot_of(encoded(("GET", ""))) == 0
    assert slot_of(encoded(("GET", "{}123456789"))) != 0x31C3


def test_the_owners_are_the_first_of_each_range_of_slots() -> None:
    reply = [
        [0, 5460, [b"10.0.0.1", 6379, b"id1", []], [b"10.0.0.4", 6379, b"id4", []]],
        [5461, 10922, [b"node-2", 6380, b"id2"]],
        [10923, 16383, [b"10.0.0.1", 6379, b"id1"]],
    ]

    assert owners_in(reply, "seed") == {
        ("10.0.0.1", 6379): [range(5461), range(10923, 16384)],
        ("node-2", 6380): [range(5461, 10923)],
    }


@pytest.mark.parametrize("host", [b"", b"?", None])
def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(host: bytes | None) -> None:
    assert owners_in([[0, 0, [host, 7000, b"id"]]], "seed") == {("seed", 7000): [range(1)]}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("MOVED 3999 127.0.0.1:6381", (3999, ("127.0.0.1", 6381))),
        ("ASK 3999 node-2:6381", (3999, ("node-2", 6381))),
        ("MOVED 3999 ::1:6381", (3999, ("::1", 6381))),
        ("MOVED 3999 :6381", (3999, ("seed", 6381))),
        ("MOVED 3999 ?:6381", (3999, ("seed", 6381))),
    ],
)
def test_a_redirection_names_a_slot_and_a_node(text: str, target: tuple[int, tuple[str, int]]) -> None:
    assert target_of(text, "seed") == target


@pytest.mark.parametrize("key", ["", "a", "a{b}c", "}{", "{}", "{}{b}", "\u00e9 {", "x" * 1024])
def test_a_number_puts_another_key_beside_any_key(key: str) -> None:
    beside = f"notes:{{{tag_beside(key)}}}:{key}"

    assert slot_of(encoded(("GET", beside))) == slot_of(encoded(("GET", key)))
