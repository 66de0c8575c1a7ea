"""Commands that go through and whose replies are looked at, and the refusal of those who may not reach Redis."""

from collections.abc import Callable

from server.resp.connection import Connection
from server.resp.wire.frames import Bytes, Cut


def seen(client: Connection, data: Bytes, one: Cut, observer: Callable[[bytes], None] | None = None) -> bool:
    """Pass a command through, and look at its reply."""
    if not client.session.passes:
        return forbidden(client)
    if not client.open():
        return False
    client.through(data[one.start : one.end], 1, observer)
    return True


def forbidden(client: Connection) -> bool:
    """Refuse a command of somebody who may not reach Redis."""
    if not client.free():
        return False
    client.fail(client.session.refusal("admin"))
    return True
