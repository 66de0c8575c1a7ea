"""Transactions and scripts: what of them is ours."""

from collections.abc import Sequence

from server.resp.commands.command import Queued
from server.resp.connection import Connection
from server.resp.refusals import Refused
from server.resp.scripts import worded
from server.resp.specials.passing import seen
from server.resp.transactions import Transaction
from server.resp.upstream import CLIENTS_SECONDS
from server.resp.wire.frames import Bytes, Cut, words_of

LOOKED_AT = 3  # words of a script's command: its name, and where the script or its digest is
Words = Sequence[bytes]
SCRIPTING = (b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO", b"SCRIPT")


def beginning(client: Connection, data: Bytes, one: Cut) -> bool:
    """MULTI: what follows is queued."""
    session = client.session
    if session.multi is not None:
        return watching(client, data, one)
    if not seen(client, data, one, lambda reply: refused_to_begin(client, begun, reply)):
        return False
    begun = Transaction(client.sent)
    session.multi = begun if session.passes else None
    return True


def refused_to_begin(client: Connection, begun: Transaction, reply: bytes) -> None:
    """Forget a transaction that Redis did not begin."""
    if reply[:1] == b"-" and client.session.multi is begun:
        client.session.multi = None


def watching(client: Connection, data: Bytes, one: Cut) -> bool:
    """WATCH, and another MULTI: not queued inside a transaction."""
    begun = seen(client, data, one)
    if begun and client.session.multi is not None:
        client.session.multi.beside -= 1
    return begun


def executing(client: Connection, data: Bytes, one: Cut) -> bool:
    """EXEC: its reply holds those of our commands, turned."""
    multi = client.session.multi
    if multi is None or not (multi.turned or multi.noted):
        begun = seen(client, data, one)
    elif begun := client.free():
        client.answer(executed(client, multi, words_of(data, one)))
    if begun and client.session.passes:
        client.session.multi = None
    return begun


async def executed(client: Connection, multi: Transaction, words: Words) -> bytes:
    """Return the reply to EXEC.

    Raises: RedisUnavailable; Refused, it is too long to be kept.
    """
    try:
        (reply,) = await client.frames([words], CLIENTS_SECONDS)
    except Refused as error:
        raise Refused(f"{error}; the transaction is done") from None
    return await multi.told(reply)


async def queued_as(client: Connection, multi: Transaction, stands_in: Queued) -> bytes:
    """Queue what stands in for a command, and return what Redis says to that."""
    (reply,) = await (await client.connected()).frames([stands_in.command])
    if reply.startswith(b"+QUEUED"):
        multi.queue(client.sent, stands_in.turned)
    return reply


def discarding(client: Connection, data: Bytes, one: Cut) -> bool:
    """DISCARD: nothing is queued any more."""
    begun = seen(client, data, one)
    if begun and client.session.passes:
        client.session.multi = None
    return begun


def scripting(client: Connection, data: Bytes, one: Cut) -> bool:
    """EVAL and its like: a script that calls commands of ours is refused in RedisAI's words."""
    session = client.session
    if session.multi is not None or session.subscribed or not session.passes:
        return seen(client, data, one)
    if not client.service.scripts.name_us(words_of(data, one, LOOKED_AT)):
        return seen(client, data, one)
    if not client.free():
        return False
    client.answer(scripted(client, words_of(data, one)))
    return True


async def scripted(client: Connection, words: Words) -> bytes:
    """Return the reply to a script that names commands of ours."""
    (reply,) = await (await client.connected()).frames([words], CLIENTS_SECONDS)
    return worded(reply)
