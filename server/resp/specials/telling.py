"""Commands by which Redis tells of itself: its own reply, with ours in it."""

from collections.abc import Sequence

from server.resp.catalog.rewriting import asked, concerns, rewritten
from server.resp.commands.module_info import info_sections
from server.resp.connection import Connection
from server.resp.specials.passing import forbidden, seen
from server.resp.wire.frames import Bytes, Cut, words_of

Words = Sequence[bytes]


def telling(client: Connection, data: Bytes, one: Cut) -> bool:
    """COMMAND, INFO, MODULE LIST: Redis' own reply, with ours in it."""
    session = client.session
    words = words_of(data, one)
    if session.multi is not None or session.subscribed or not concerns(words):
        return seen(client, data, one)
    if not session.passes:
        return forbidden(client)
    if not client.free():
        return False
    client.answer(told(client, words))
    return True


async def told(client: Connection, words: Words) -> bytes:
    """Ask Redis, and add what is ours."""
    wire, commands = client.session.wire, client.service.commands
    through, reply = asked(words, commands), b""
    if through is not None:
        (reply,) = await (await client.connected()).frames([through])
    return rewritten(words, reply, wire, commands, info_sections(client.service.engine))
