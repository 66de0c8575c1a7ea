"""Commands after which Redis speaks unasked: subscriptions, of which each is confirmed, MONITOR and replication."""

from server.resp.connection import Connection
from server.resp.specials.passing import forbidden
from server.resp.subscriptions import Subscriptions
from server.resp.wire.frames import Bytes, Cut, words_of


def subscribing(client: Connection, data: Bytes, one: Cut) -> bool:
    """SUBSCRIBE and its like: each name is confirmed by itself."""
    session = client.session
    if not session.passes:
        return forbidden(client)
    if session.multi is not None:
        return raw(client, data, one)
    if not client.free() or not client.open():
        return False
    words = words_of(data, one)
    session.subscriptions = session.subscriptions or Subscriptions()
    session.subscriptions.expect(one.name, words[1:])
    session.skip = False  # what is pushed is told all the same
    client.through(data[one.start : one.end], 0)
    return True


def raw(client: Connection, data: Bytes, one: Cut) -> bool:
    """MONITOR, SYNC: from here on nothing is looked at any more, either way."""
    if not client.session.passes:
        return forbidden(client)
    if not client.free() or not client.open():
        return False
    client.raw = True
    client.through(data[one.start : one.end], 0)
    return True
