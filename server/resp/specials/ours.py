"""Commands of ours: answered here, or queued as what stands in for them."""

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from server.resp.commands.command import Command, Queued
from server.resp.connection import Connection
from server.resp.joined_dags import WENT_WELL, form_in
from server.resp.refusals import Refused, refused
from server.resp.session import Session
from server.resp.transactions import Transaction, failing, refusing
from server.resp.wire.frames import Bytes, Cut, words_of

Words = Sequence[bytes]
JOINED_DAG = b"AI.DAGEXECUTE_RO"


def own(command: Command, client: Connection, data: Bytes, one: Cut) -> bool:
    """Answer a command of ours."""
    if not client.free(alongside=command.alongside):
        return False
    words = words_of(data, one)
    session = client.session
    try:
        check(session, command, words)
    except Refused as error:
        client.refuse(error)
        return True
    if session.multi is not None:
        client.answer(queued(client, command, words[1:], session.multi))
    else:
        work = command.answer(client.caller(), words[1:])
        if one.name == JOINED_DAG:
            work = remembered(client, bytes(data[one.start : one.end]), words, work)
        client.answer(work, alongside=command.alongside)
    return True


async def remembered(
    client: Connection, data: bytes, words: Words, work: Coroutine[Any, Any, bytes]
) -> bytes:
    """Remember the form of a DAG that goes well: the next of that form need not be read."""
    reply = await work
    if reply.startswith(WENT_WELL):
        client.shortcuts.remember(form_in(data, words))
    return reply


def check(session: Session, command: Command, words: Words) -> None:
    """Refuse a command that may not be here, or has too few words or too many.

    Raises: Refused.
    """
    session.check(command.scope)
    if session.subscribed:
        raise Refused(out_of_context(command))
    if not command.fits(len(words)):
        raise refused(f"wrong number of arguments for '{command.name.lower()}' command")


def out_of_context(command: Command) -> str:
    """Return what Redis says to a command while only messages are waited for."""
    return (
        f"ERR Can't execute '{command.name.lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context"
    )


async def queued(client: Connection, command: Command, words: Words, multi: Transaction) -> bytes:
    """Queue what stands in for a command of ours; one that cannot be is an error of EXEC's reply."""
    caller = replace(client.caller(), strays=lambda: multi.selects)
    try:
        stands_in = Queued(refusing(command)) if command.queued is None else command.queued(caller, words)
    except Refused as error:  # of the command itself, and not of the transaction
        stands_in = Queued(failing(str(error)))
    (reply,) = await (await client.connected()).frames([stands_in.command])
    if reply.startswith(b"+QUEUED"):
        multi.queue(client.sent, stands_in.turned)
    return reply
