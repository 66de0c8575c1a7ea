"""What a client says of itself: who it is, which protocol and which database it wants, and that it leaves."""

from collections.abc import Sequence

from redis.exceptions import ResponseError

from models.errors import InsituError
from server.resp.commands.command import Queued
from server.resp.connection import Connection
from server.resp.reaching import choose
from server.resp.refusals import Refused, refused
from server.resp.session import Session
from server.resp.specials.passing import seen
from server.resp.specials.transacting import queued_as
from server.resp.wire.frames import Bytes, Cut, words_of
from server.resp.wire.replies import OK, RESP2, RESP3, error

Words = Sequence[bytes]
RESET = b"+RESET\r\n"
CLIENT_WORDS = 4  # that are looked at: CLIENT REPLY OFF has three
IN_TRANSACTION = (
    "ERR CLIENT REPLY is not taken within a transaction: EXEC's reply would not be whole; say it before MULTI"
)
HELLO_FIRST = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def only_predicts(client: Connection) -> bool:
    """Whether a client may predict and never reaches Redis: what pools say to begin with is then answered here."""
    return bool(client.session.scopes) and not client.session.passes


def selecting(client: Connection, data: Bytes, one: Cut) -> bool:
    """SELECT: note the database."""
    words = words_of(data, one)
    multi = client.session.multi
    if only_predicts(client) and words[1:] == [b"%d" % client.service.home]:
        return client.tell_when_free(OK)

    def chosen(reply: bytes) -> None:
        if reply.startswith(b"+OK"):
            client.session.db = int(words[1])

    begun = seen(client, data, one, chosen)
    if begun and multi is not None:
        multi.note(client.sent, chosen)
        multi.selects = True
    return begun


def authenticating(client: Connection, data: Bytes, one: Cut) -> bool:
    """AUTH: to Redis, or with a token of ours where there are some."""
    session = client.session
    client.shortcuts.forget()
    if not session.by_token and (session.multi is not None or not client.service.home):
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
    (reply,) = await (await client.connected()).frames([words])
    if reply.startswith(b"+OK"):
        await placed(client)
    return reply


async def placed(client: Connection) -> None:
    """Choose the database of a client that has said who it is, if that could not be; where it fails, begin anew.

    Raises: RedisUnavailable, RedisRefused.
    """
    upstream = await client.connected()
    if not upstream.astray:
        return
    try:
        await choose(upstream, client.session.db, known=True)
    except InsituError:
        client.begin_anew()
        raise


def greeting(client: Connection, data: Bytes, one: Cut) -> bool:
    """HELLO: note the version of the protocol; a token may come with it."""
    session, multi = client.session, client.session.multi
    client.shortcuts.forget()
    if session.subscribed:
        return seen(client, data, one)
    if multi is None:
        if not client.free():
            return False
        client.answer(greeted(client, words_of(data, one)))
        return True
    words = words_of(data, one)

    def taken(reply: bytes) -> None:
        take_version(session, words, reply)

    begun = seen(client, data, one, taken)
    if begun:
        multi.note(client.sent, taken)
    return begun


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
    (reply,) = await (await client.connected()).frames([words])
    if take_version(session, words, reply) and b"AUTH" in upper and not session.by_token:
        await placed(client)
    return reply


def take_version(session: Session, words: Words, reply: bytes) -> bool:
    """Note the version of the protocol that HELLO named, where Redis took it; whether it did."""
    taken = reply[:1] in b"*%" and len(words) > 1
    if taken:
        session.wire = RESP3 if words[1] == b"3" else RESP2
    return taken


def resetting(client: Connection, _data: Bytes, _one: Cut) -> bool:
    """RESET: begin anew, with a new connection to Redis when one is needed."""
    if not client.free():
        return False
    skip = client.session.skip
    client.begin_anew()
    client.session.skip = skip  # it was said of this reply
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
    words = [word.upper() for word in words_of(data, one, CLIENT_WORDS)]
    session = client.session
    if only_predicts(client) and words[1:2] in ([b"SETNAME"], [b"SETINFO"]):
        return client.tell_when_free(OK)
    replies = words[1:2] == [b"REPLY"] and words[2:] in ([b"ON"], [b"OFF"], [b"SKIP"])
    if not replies or session.subscribed or not session.passes:
        return seen(client, data, one)
    if not client.free():
        return False
    if session.multi is not None:
        # EXEC, and whatever waits for its reply, would be left without one. ON stands in, which changes nothing:
        # some servers refuse it at once, like any command that is not for transactions.
        client.answer(queued_as(client, session.multi, Queued((b"CLIENT", b"REPLY", b"ON"), kept_out)))
        return True
    session.skip = words[2] == b"SKIP" and not session.muted
    if words[2] == b"ON":
        session.muted = False
        client.tell(OK)
    elif words[2] == b"OFF":
        session.muted = True
    return True


def kept_out(reply: object) -> bytes:
    """Return what EXEC's reply says of CLIENT REPLY, whatever Redis said to what stood in for it."""
    return error(str(reply) if isinstance(reply, ResponseError) else IN_TRANSACTION)
