"""Commands that are more than passed through: ours, what a client says of itself, and what Redis says of us.

Each takes a connection, the input and where in it the command is, and says whether it was begun; one
that was not is looked at again as soon as what it waits for is there.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from server.resp.catalog.rewriting import asked, concerns, rewritten
from server.resp.commands.command import Command, Queued
from server.resp.commands.module_info import info_sections
from server.resp.connection import Connection, Special
from server.resp.joined_dags import WENT_WELL, form_in
from server.resp.refusals import Refused, refused
from server.resp.scripts import worded
from server.resp.session import Session
from server.resp.subscriptions import COMMANDS as SUBSCRIBING
from server.resp.subscriptions import Subscriptions
from server.resp.transactions import UNFIT, Transaction, failing, refusing
from server.resp.wire.frames import Bytes, Cut, words_of
from server.resp.wire.replies import OK, RESP2, RESP3

Words = Sequence[bytes]
SCRIPTING = (b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO", b"SCRIPT")
JOINED_DAG = b"AI.DAGEXECUTE_RO"
RESET = b"+RESET\r\n"
HELLO_FIRST = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def specials(commands: Mapping[bytes, Command]) -> dict[bytes, Special]:
    """Return what is done with each command that is not just passed through."""
    return {
        **{name: partial(own, command) for name, command in commands.items()},
        **dict.fromkeys(SUBSCRIBING, subscribing),
        **dict.fromkeys((b"MONITOR", b"SYNC", b"PSYNC"), raw),
        **dict.fromkeys((b"COMMAND", b"INFO", b"MODULE"), telling),
        **dict.fromkeys(SCRIPTING, scripting),
        b"SELECT": selecting,
        b"AUTH": authenticating,
        b"HELLO": greeting,
        b"RESET": resetting,
        b"MULTI": beginning,
        b"WATCH": watching,
        b"EXEC": executing,
        b"DISCARD": discarding,
        b"CLIENT": about_client,
        b"QUIT": quitting,
    }


# Ours.


def own(command: Command, client: Connection, data: Bytes, one: Cut) -> bool:
    """Answer a command of ours."""
    if not client.free(alongside=command.alongside):
        return False
    words = words_of(data, one)
    session = client.session
    try:
        check(session, command, words)
    except Refused as error:
        if session.multi is not None and session.passes:
            client.answer(spoiled(client, error))
        else:
            client.fail(error)
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
    try:
        stands_in = (
            Queued(refusing(command)) if command.queued is None else command.queued(client.caller(), words)
        )
    except Refused as error:  # of the command itself, and not of the transaction
        stands_in = Queued(failing(str(error)))
    (reply,) = await (await client.connected()).frames([stands_in.command])
    if reply.startswith(b"+QUEUED"):
        multi.queue(client.sent, stands_in.turned)
    return reply


async def spoiled(client: Connection, error: Refused) -> bytes:
    """Have Redis refuse to EXEC after a mistake of a command of ours, as after any."""
    await (await client.connected()).frames([UNFIT])
    raise error


# What a client says of itself.


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


def selecting(client: Connection, data: Bytes, one: Cut) -> bool:
    """SELECT: note the database."""
    words = words_of(data, one)
    multi = client.session.multi

    def chosen(reply: bytes) -> None:
        if reply.startswith(b"+OK"):
            client.session.db = int(words[1])

    begun = seen(client, data, one, chosen)
    if begun and multi is not None and len(words) == 2 and words[1].isdigit():
        multi.db = int(words[1])
    return begun


def authenticating(client: Connection, data: Bytes, one: Cut) -> bool:
    """AUTH: to Redis, or with a token of ours where there are some."""
    session = client.session
    client.shortcuts.forget()
    if not session.by_token and not client.service.home:
        return seen(client, data, one)
    if not client.free():
        return False
    words = words_of(data, one)
    if not session.by_token:
        client.answer(authenticated(client, words))
        return True
    try:
        if len(words) not in (2, 3):
            raise refused("wrong number of arguments for 'auth' command")
        session.log_in(words[-1])
    except Refused as error:
        client.fail(error)
    else:
        client.tell(OK)
    return True


async def authenticated(client: Connection, words: Words) -> bytes:
    """Pass AUTH on, and choose the database that could not be chosen before."""
    upstream = await client.connected()
    (reply,) = await upstream.frames([words])
    if reply.startswith(b"+OK"):
        await upstream.frames([("SELECT", client.session.db)])
    return reply


def greeting(client: Connection, data: Bytes, one: Cut) -> bool:
    """HELLO: note the version of the protocol; a token may come with it."""
    if not client.free():
        return False
    client.answer(greeted(client, words_of(data, one)))
    return True


async def greeted(client: Connection, words: list[bytes]) -> bytes:
    """Pass HELLO on and return its reply."""
    session = client.session
    upper = [word.upper() for word in words]
    if session.by_token and b"AUTH" in upper[2:]:
        at = upper.index(b"AUTH", 2)
        if len(words) < at + 3:
            raise refused("Syntax error in HELLO option 'auth'")
        session.log_in(words[at + 2])
        del words[at : at + 3]
    if not session.scopes:
        raise Refused(HELLO_FIRST)
    upstream = await client.connected()
    (reply,) = await upstream.frames([words])
    if reply[:1] in b"*%" and len(words) > 1:
        session.wire = RESP3 if words[1] == b"3" else RESP2
        if b"AUTH" in upper and not session.by_token:
            await upstream.frames([("SELECT", session.db)])
    return reply


def resetting(client: Connection, _data: Bytes, _one: Cut) -> bool:
    """RESET: begin anew, with a new connection to Redis when one is needed."""
    if not client.free():
        return False
    client.begin_anew()
    client.tell(RESET)
    return True


def quitting(client: Connection, _data: Bytes, _one: Cut) -> bool:
    """QUIT: say goodbye and end."""
    if not client.free():
        return False
    client.tell(OK)
    client.finish()
    return True


def about_client(client: Connection, data: Bytes, one: Cut) -> bool:
    """CLIENT: its replies are silenced here; everything else is for Redis."""
    words = [word.upper() for word in words_of(data, one)]
    session = client.session
    replies = words[1:2] == [b"REPLY"] and words[2:] in ([b"ON"], [b"OFF"], [b"SKIP"])
    if not replies or session.subscribed or session.multi is not None or not session.passes:
        return seen(client, data, one)
    if not client.free():
        return False
    session.skip = words[2] == b"SKIP" and not session.muted
    if words[2] == b"ON":
        session.muted = False
        client.tell(OK)
    elif words[2] == b"OFF":
        session.muted = True
    return True


# Transactions.


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
    if multi is None or not (multi.turned or multi.db is not None):
        begun = seen(client, data, one)
    elif begun := client.free():
        client.answer(executed(client, multi, words_of(data, one)))
    if begun:
        client.session.multi = None
    return begun


async def executed(client: Connection, multi: Transaction, words: Words) -> bytes:
    """Return the reply to EXEC."""
    (reply,) = await (await client.connected()).frames([words])
    if multi.db is not None and reply[:1] == b"*" and reply[1:2] != b"-":
        client.session.db = multi.db
    return multi.told(reply)


def discarding(client: Connection, data: Bytes, one: Cut) -> bool:
    """DISCARD: nothing is queued any more."""
    begun = seen(client, data, one)
    if begun:
        client.session.multi = None
    return begun


def scripting(client: Connection, data: Bytes, one: Cut) -> bool:
    """EVAL and its like: a script that calls commands of ours is refused in RedisAI's words."""
    session = client.session
    if session.multi is not None or session.subscribed or not session.passes:
        return seen(client, data, one)
    words = words_of(data, one)
    if not client.service.scripts.name_us(words):
        return seen(client, data, one)
    if not client.free():
        return False
    client.answer(scripted(client, words))
    return True


async def scripted(client: Connection, words: Words) -> bytes:
    """Return the reply to a script that names commands of ours."""
    (reply,) = await (await client.connected()).frames([words])
    return worded(reply)


# Messages.


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


# What Redis says of us.


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
