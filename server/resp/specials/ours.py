"""Commands of ours: answered here, or queued as what stands in for them."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from server.resp.caller import Caller
from server.resp.commands.command import Command, Queued
from server.resp.commands.many_words import MANY_WORDS, read_by
from server.resp.connection import Connection
from server.resp.joined_dags import WENT_WELL, form_in
from server.resp.refusals import Refused, refused
from server.resp.session import Session
from server.resp.specials.transacting import queued_as
from server.resp.transactions import Transaction, failing, refusing
from server.resp.wire.frames import Bytes, Cut, words_from, words_of

Words = Sequence[bytes]
PART_WORDS = 1024  # that are read before others have their turn
JOINED_DAG = b"AI.DAGEXECUTE_RO"


def own(command: Command, client: Connection, data: Bytes, one: Cut) -> bool:
    """Answer a command of ours."""
    if not client.free(alongside=command.alongside):
        return False
    session = client.session
    words = words_of(data, one, MANY_WORDS)
    try:
        check(session, command, max(one.words, len(words)))
    except Refused as error:
        client.refuse(error)
        return True
    if one.words > MANY_WORDS:
        rest = bytes(data[one.at : one.end])
        work = answered_in_parts(client, command, rest, one.words)
        client.answer(work, alongside=command.alongside and session.multi is None)
    elif session.multi is not None:
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


async def answered_in_parts(client: Connection, command: Command, data: bytes, count: int) -> bytes:
    """Answer a command of many words, between some of which others have their turn."""
    words, at, multi = list[bytes](), 0, client.session.multi
    while len(words) < count:
        some, at = words_from(data, at, min(PART_WORDS, count - len(words)))
        words += some
        await asyncio.sleep(0)
    if multi is not None:
        return await queued(client, command, words[1:], multi)
    return await command.answer(client.caller(), words[1:])


def check(session: Session, command: Command, count: int) -> None:
    """Refuse a command that may not be here, or has too few words or too many.

    Raises: Refused.
    """
    session.check(command.scope)
    if session.subscribed:
        raise Refused(out_of_context(command))
    if not command.fits(count):
        raise refused(f"wrong number of arguments for '{command.name.lower()}' command")


def out_of_context(command: Command) -> str:
    """Return what Redis says to a command while only messages are waited for."""
    return (
        f"ERR Can't execute '{command.name.lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context"
    )


async def stand_in(command: Command, caller: Caller, words: Words) -> Queued:
    """Return what is queued for a command.

    Raises: Refused.
    """
    if command.queued is None:
        return Queued(refusing(command))
    return await read_by(partial(command.queued, caller), words)


async def queued(client: Connection, command: Command, words: Words, multi: Transaction) -> bytes:
    """Queue what stands in for a command of ours; one that cannot be is an error of EXEC's reply."""
    caller = replace(client.caller(), strays=lambda: multi.selects)
    try:
        stands_in = await stand_in(command, caller, words)
    except Refused as error:  # of the command itself, and not of the transaction
        stands_in = Queued(failing(str(error)))
    return await queued_as(client, multi, stands_in)
