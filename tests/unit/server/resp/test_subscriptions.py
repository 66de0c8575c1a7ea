"""What a client is subscribed to is known from the confirmations that pass."""

import pytest

from server.resp.subscriptions import Subscriptions


def confirmed(kind: bytes, name: bytes | None, count: int, mark: bytes = b"*") -> bytes:
    said = b"$-1\r\n" if name is None else b"$%d\r\n%b\r\n" % (len(name), name)
    return b"%b3\r\n$%d\r\n%b\r\n%b:%d\r\n" % (mark, len(kind), kind, said, count)


@pytest.mark.parametrize("mark", [b"*", b">"])
def test_a_subscription_lasts_from_its_confirmation_to_its_end(mark: bytes) -> None:
    one = Subscriptions()
    one.expect(b"SUBSCRIBE", [b"a", b"b"])

    assert one.awaited == 2
    assert one.hear(confirmed(b"subscribe", b"a", 1, mark), mark == b">")
    assert one.hear(confirmed(b"subscribe", b"b", 2, mark), mark == b">")
    assert (one.awaited, one.any) == (0, True)
    one.expect(b"UNSUBSCRIBE", [])
    assert one.awaited == 2
    one.hear(confirmed(b"unsubscribe", b"a", 1, mark), mark == b">")
    assert one.any
    one.hear(confirmed(b"unsubscribe", b"b", 0, mark), mark == b">")
    assert (one.awaited, one.any) == (0, False)


def test_families_are_kept_apart() -> None:
    one = Subscriptions()
    for name, kind in ((b"PSUBSCRIBE", b"psubscribe"), (b"SSUBSCRIBE", b"ssubscribe")):
        one.expect(name, [b"x"])
        one.hear(confirmed(kind, b"x", 1), pushed=False)

    one.expect(b"PUNSUBSCRIBE", [b"x"])
    one.hear(confirmed(b"punsubscribe", b"x", 1), pushed=False)

    assert one.any


def test_leaving_nothing_is_confirmed_once() -> None:
    one = Subscriptions()
    one.expect(b"UNSUBSCRIBE", [])

    assert one.awaited == 1
    assert one.hear(confirmed(b"unsubscribe", None, 0), pushed=False)
    assert one.awaited == 0


def test_messages_are_told_from_replies() -> None:
    one = Subscriptions()

    assert one.hear(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", pushed=False)
    assert not one.hear(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", pushed=False)
    assert not one.hear(b">2\r\n$10\r\ninvalidate\r\n*0\r\n", pushed=True)


def test_an_error_is_all_that_is_said_to_a_mistaken_subscription() -> None:
    one = Subscriptions()
    one.expect(b"SUBSCRIBE", [b"a", b"b"])

    assert one.hear(b"-NOPERM no\r\n", pushed=False)
    assert one.awaited == 0
