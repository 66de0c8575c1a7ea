"""The sockets of several workers, on a real kernel."""

import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import pytest

from server.workers.listeners import Listeners, resolved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers share one socket")

HOST = "127.0.0.1"


@pytest.fixture
def three() -> Iterator[Listeners]:
    with closing(Listeners.reserve(HOST, 0, 3)) as listeners:
        for one in listeners.sockets:
            one.setblocking(False)
        yield listeners


def dealt(listeners: Listeners, count: int) -> Counter[int]:
    """Connect so often, and count at which socket each connection waits."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(listeners.sockets[0].getsockname(), timeout=5))
        return Counter(index for index, one in enumerate(listeners.sockets) for _ in range(accepted(one)))


def accepted(one: socket.socket) -> int:
    """Accept whatever waits at a socket."""
    count = 0
    while True:
        try:
            one.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_all_are_on_one_address(three: Listeners) -> None:
    assert len({one.getsockname() for one in three.sockets}) == 1


def test_connections_are_dealt_out(three: Listeners) -> None:
    counts = dealt(three, 90)

    assert sum(counts.values()) == 90
    assert min(counts[index] for index in range(3)) > 5  # 30 by chance, give or take 4.5


@pytest.mark.parametrize("chosen", [(0,), (2,), (0, 1), (1, 2), (0, 2)])
def test_those_that_do_not_answer_get_none(three: Listeners, chosen: Sequence[int]) -> None:
    three.prefer(chosen)

    assert set(dealt(three, 60)) == set(chosen)


@pytest.mark.parametrize("chosen", [(), (0, 1, 2)])
def test_everybody_gets_some_when_nobody_is_left_out(three: Listeners, chosen: Sequence[int]) -> None:
    three.prefer([1])

    three.prefer(chosen)

    assert set(dealt(three, 60)) == {0, 1, 2}


def test_what_waits_stays_when_others_are_preferred(three: Listeners) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(three.sockets[0].getsockname(), timeout=5))
        three.prefer([0])

        waiting = [accepted(one) for one in three.sockets]

    assert sum(waiting) == 30
    assert waiting[1] > 0


@pytest.mark.parametrize("shared", [False, True])
def test_an_address_that_somebody_listens_on_is_refused(shared: bool) -> None:
    with socket.socket() as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind((HOST, 0))
        taken.listen()

        with pytest.raises(OSError, match="Address already in use"):
            Listeners.reserve(HOST, taken.getsockname()[1], 2)


def test_nobody_else_joins_by_accident(three: Listeners) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        Listeners.reserve(HOST, three.sockets[0].getsockname()[1], 2)


def test_the_port_is_free_when_they_are_closed() -> None:
    first = Listeners.reserve(HOST, 0, 2)
    port = first.sockets[0].getsockname()[1]
    first.close()

    with closing(Listeners.reserve(HOST, port, 2)) as again:
        assert again.sockets[1].getsockname() == (HOST, port)


@pytest.mark.parametrize(("families", "chosen"), [("6", "6"), ("64", "4"), ("4", "4")])
def test_a_name_may_be_that_of_an_ipv6_address(
    monkeypatch: pytest.MonkeyPatch, families: str, chosen: str
) -> None:
    known = {
        "4": (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 80)),
        "6": (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::7", 80, 0, 0)),
    }
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **_how: [known[one] for one in families])

    assert resolved("inside", 80) == (known[chosen][0], known[chosen][4])


def test_an_address_of_one_link_is_listened_on_with_its_interface() -> None:
    family, address = resolved("fe80::1%lo", 80)

    assert (family, address[3]) == (socket.AF_INET6, socket.if_nametoindex("lo"))
