"""Who may do what at the door: by tokens of this server, or by Redis' own users where there are none."""

import ssl
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from tests.certificates import Certificates
from tests.graphs import bundle, scaled
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import OpenedDoor, command
from tests.servers import RedisServer

TOKENS = {f"{scope}:{sha256(scope.encode()).hexdigest()}" for scope in ("admin", "predict")}
OpenOfUsers = Callable[..., Awaitable[OpenedDoor]]
NOAUTH = b"-NOAUTH Authentication required.\r\n"
WRONGPASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOPERM = b"-NOPERM this token may predict; this command needs a token of scope admin\r\n"
# What would show or change data of Redis, and what is more than passed through.
FORBIDDEN = (
    "GET secret", "SET a 1", "KEYS *", "SELECT 1", "MULTI", "EXEC", "DISCARD", "WATCH secret", "SUBSCRIBE c",
    "PSUBSCRIBE *", "MONITOR", "SYNC", "PSYNC ? -1", "CLIENT LIST", "INFO", "COMMAND", "CONFIG GET *", "EVAL return 0",
    "T.GET secret", "T.SAY x",
    "AI.TENSORGET secret", "MODULE LIST", "SHUTDOWN NOSAVE", "DUMP secret", "CLIENT REPLY OFF",
)  # fmt: skip


@pytest.fixture
async def guarded(open_door: OpenDoor, redis: Redis) -> OpenedDoor:
    """A door that knows two tokens, before a Redis with a secret."""
    await redis.set("secret", "kept")
    return await open_door(tokens=tuple(TOKENS))


@pytest.mark.parametrize("text", FORBIDDEN)
async def test_nobody_reaches_redis_without_a_token(guarded: OpenedDoor, redis: Redis, text: str) -> None:
    one = await guarded.line()
    before = (await redis.info("stats"))["total_commands_processed"]

    await one.ask(command(*text.split()), NOAUTH)
    await one.ask(command("AUTH", "wrong"), WRONGPASS)
    await one.ask(command("GET", "secret") * 3, NOAUTH * 3)

    assert (await redis.info("stats"))["total_commands_processed"] - before <= 10
    assert all(client["name"] == "" for client in await redis.client_list())


@pytest.mark.parametrize("text", FORBIDDEN)
async def test_a_token_for_predictions_never_reaches_data(guarded: OpenedDoor, text: str) -> None:
    one = await guarded.line()
    await one.ask(command("AUTH", "predict"), b"+OK\r\n")

    await one.say(command(*text.split()))

    assert (await one.line()).startswith(b"-NOPERM this token may predict")
    await one.ask(command("T.PREDICT", "x"), b"$1\r\nx\r\n")


@pytest.mark.parametrize(
    "words", [("AUTH", "admin"), ("AUTH", "anybody", "admin"), ("auth", "default", "admin")]
)
async def test_a_token_for_everything_reaches_redis(guarded: OpenedDoor, words: tuple[str, ...]) -> None:
    one = await guarded.line()

    await one.say(
        command(*words) + command("GET", "secret") + command("T.PREDICT", "x") + command("T.GET", "secret")
    )

    assert await one.until_quiet() == b"+OK\r\n$4\r\nkept\r\n$1\r\nx\r\n$4\r\nkept\r\nMARK"


@pytest.mark.parametrize("protocol", [2, 3])
async def test_redis_py_logs_in_with_a_token(guarded: OpenedDoor, protocol: int) -> None:
    everything = guarded.client(protocol, password="admin")
    named = guarded.client(protocol, username="somebody", password="admin", client_name="me", db=2)
    predicting = guarded.client(protocol, password="predict")

    assert await everything.get("secret") == b"kept"
    assert await named.client_getname() in ("me", b"me")
    assert await named.get("secret") is None
    assert await predicting.ping()
    assert await predicting.execute_command("T.PREDICT", "x") == b"x"
    with pytest.raises((NoPermissionError, ResponseError), match="needs a token of scope admin"):
        await predicting.get("secret")
    with pytest.raises(AuthenticationError):
        await guarded.client(protocol, password="wrong").get("secret")


async def test_hello_takes_a_token(guarded: OpenedDoor) -> None:
    one = await guarded.line()

    await one.say(command("HELLO", 3))
    assert (await one.line()).startswith(b"-NOAUTH HELLO must be called")
    await one.ask(command("HELLO", 3, "AUTH", "default", "wrong"), WRONGPASS)
    await one.ask(command("GET", "secret"), NOAUTH)
    await one.say(command("HELLO", 3, "AUTH", "default", "predict", "SETNAME", "me"))
    assert (await one.line()) == b"%7\r\n"


async def test_what_a_token_allows_changes_with_the_token(guarded: OpenedDoor) -> None:
    one = await guarded.line()

    for token, reply in (("admin", b"$4\r\nkept\r\n"), ("predict", NOPERM), ("admin", b"$4\r\nkept\r\n")):
        await one.ask(command("AUTH", token), b"+OK\r\n")
        await one.ask(command("GET", "secret"), reply)
    await one.ask(command("AUTH", "wrong"), WRONGPASS)
    await one.ask(command("GET", "secret"), b"$4\r\nkept\r\n")
    await one.ask(command("RESET"), b"+RESET\r\n")
    await one.ask(command("GET", "secret"), NOAUTH)


async def test_predictions_are_for_everybody_where_that_is_said(open_door: OpenDoor) -> None:
    door = await open_door(tokens=tuple(TOKENS), allow_anonymous=True)
    one = await door.line()

    await one.ask(command("T.PREDICT", "x"), b"$1\r\nx\r\n")
    await one.ask(command("PING"), b"+PONG\r\n")
    await one.ask(command("GET", "secret"), NOPERM)


async def test_long_commands_of_nobody_are_not_kept(guarded: OpenedDoor) -> None:
    for began in (
        b"*2\r\n$3\r\nGET\r\n$100000\r\n",
        b"*2\r\n$6\r\nT.SAY1\r\n$100000\r\n",
        b"*3\r\n$6\r\nSELECT\r\n$9000000\r\n",
    ):
        one = await guarded.line()
        await one.say(began + b"x" * 70_000)

        assert (await one.until_end()).startswith(b"-ERR Protocol error: ")


@pytest.fixture(scope="module")
def users(redis_binary: Path) -> Iterator[RedisServer]:
    """A Redis that wants a password, and knows a user who reads a few keys."""
    server = RedisServer(redis_binary).start()
    try:
        with server.connect() as client:
            client.execute_command(
                *["ACL", "SETUSER", "reader", "on", ">r", "~public:*", "+get", "+select", "+hello"]
            )
            client.config_set("requirepass", "secret")
        yield server
    finally:
        server.close()


@pytest.fixture
def of_users(users: RedisServer, open_door: OpenDoor) -> OpenOfUsers:
    async def opened(path: str = "") -> OpenedDoor:
        return await open_door(redis_url=f"unix://:secret@{users.socket}{path}")

    return opened


async def test_without_tokens_redis_says_who_may_do_what(of_users: OpenOfUsers) -> None:
    one = await (await of_users()).line()

    await one.ask(command("GET", "public:a"), NOAUTH)
    await one.ask(command("T.GET", "public:a"), NOAUTH)
    await one.ask(command("AUTH", "wrong"), WRONGPASS)
    await one.ask(command("AUTH", "reader", "r"), b"+OK\r\n")
    await one.ask(command("GET", "public:a") + command("T.GET", "public:a"), b"$-1\r\n" * 2)
    await one.say(command("GET", "private"), command("T.GET", "private"))
    refusals = [await one.line() for _ in range(2)]
    assert refusals[0].startswith(b"-NOPERM ")
    assert refusals[0] == refusals[1]
    await one.ask(command("AUTH", "secret"), b"+OK\r\n")
    await one.ask(command("SET", "private", 1), b"+OK\r\n")


@pytest.mark.parametrize(
    "words",
    [("INSITU.PROMOTE", "m", 1), ("AI.CONFIG", "MODEL_CHUNK_SIZE", 1), ("AI.CONFIG", "BACKENDSPATH", "/x")],
)
async def test_without_tokens_redis_says_who_may_change_what_the_server_does(
    of_users: OpenOfUsers, words: tuple[str | int, ...]
) -> None:
    door = await of_users()
    store = door.engine.store
    newest = [(await store.publish(bundle(scaled()))).version for _ in range(2)][1]
    first = (*words[:-1], newest - 1) if words[0] == "INSITU.PROMOTE" else words
    one = await door.line()

    await one.ask(command(*first), NOAUTH)
    await one.ask(command("AUTH", "reader", "r"), b"+OK\r\n")
    await one.say(command(*first))
    assert (await one.line()).startswith(b"-NOPERM ")
    assert await store.aliases("m") == {"production": newest}
    await one.ask(command("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE"), b":535822336\r\n")
    await one.ask(command("AUTH", "secret") + command("SELECT", 3) + command(*first), b"+OK\r\n" * 3)


async def test_a_user_promotes_the_models_whose_keys_redis_lets_them_write(
    of_users: OpenOfUsers, users: RedisServer
) -> None:
    door = await of_users()
    version = (await door.engine.store.publish(bundle(scaled()))).version
    async with Redis(unix_socket_path=str(users.socket), password="secret") as client:
        for name, keys in (("looks", "%R~insitu:*"), ("owns", "~insitu:{m}*"), ("other", "~insitu:{n}*")):
            rights = ["+@read", "+@write", "+@connection", "+eval", "+publish"]
            await client.execute_command("ACL", "SETUSER", name, "on", ">x", keys, "-@all", *rights)

    for name, allowed in (("looks", False), ("owns", True), ("other", False)):
        one = await door.line()
        await one.ask(command("AUTH", name, "x"), b"+OK\r\n")
        await one.say(command("INSITU.PROMOTE", "m", version))
        assert (await one.line()).startswith(b"+OK" if allowed else b"-NOPERM ")


async def test_the_database_of_the_url_is_chosen_once_redis_lets_somebody_in(
    of_users: OpenOfUsers, users: RedisServer
) -> None:
    door = await of_users("?db=5")
    async with Redis(unix_socket_path=str(users.socket), password="secret", db=5) as client:
        await client.set("where", "five")

    one, other, third = [await door.line() for _ in range(3)]
    await one.ask(command("AUTH", "secret"), b"+OK\r\n")
    await one.ask(command("GET", "where"), b"$4\r\nfive\r\n")
    await other.say(command("HELLO", 2, "AUTH", "default", "secret"), command("GET", "where"))
    assert (await other.until_quiet()).endswith(b"$4\r\nfive\r\nMARK")
    await third.say(
        command("GET", "x"),
        command("AUTH", "default", "secret"),
        command("T.GET", "where"),
        command("SELECT", 0),
        command("GET", "where"),
    )
    assert await third.until_quiet() == NOAUTH + b"+OK\r\n$4\r\nfive\r\n+OK\r\n$-1\r\nMARK"


@pytest.mark.parametrize("sent", [b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nSET a 1",
                                  b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET a 1\r\n",
                                  b"post / HTTP/1.1\r\n\r\n"])  # fmt: skip
async def test_a_page_of_a_browser_is_not_heard(door: OpenedDoor, redis: Redis, sent: bytes) -> None:
    one = await door.line()

    await one.say(sent)

    assert (await one.until_end()).replace(
        b"-ERR wrong number of arguments for 'get' command\r\n", b""
    ) == b""
    assert await redis.dbsize() == 0


async def test_everything_goes_over_tls(open_door: OpenDoor, certificates: Certificates) -> None:
    door = await open_door(
        tls_cert=certificates.certificate("server"), tls_key=certificates.key("server"), tokens=tuple(TOKENS)
    )
    trusting = ssl.create_default_context(cafile=certificates.authority)
    client = door.client(3, ssl=True, ssl_ca_certs=str(certificates.authority), password="admin")
    value = b"v" * 5_000_000

    assert await client.set("big", value)
    assert await client.get("big") == value
    assert await client.execute_command("T.GET", "big") == value
    one = await door.line(trusting)
    await one.ask(
        command("AUTH", "admin") + command("INCR", "n") + command("T.SAY", "x"), b"+OK\r\n:1\r\n$1\r\nx\r\n"
    )
    plain = await door.line()
    await plain.say(command("PING"))
    assert b"PONG" not in await plain.until_end()
    assert await client.ping()


async def test_a_token_for_predictions_may_say_what_pools_say_first(guarded: OpenedDoor) -> None:
    client = guarded.client(password="predict", db=0, client_name="me")

    assert await client.execute_command("T.PREDICT", "x") == b"x"
    assert await client.execute_command("SELECT", 0) is True
    with pytest.raises(NoPermissionError, match="scope admin"):
        await client.execute_command("SELECT", 1)
    with pytest.raises(NoPermissionError, match="scope admin"):
        await client.client_list()


async def test_a_transaction_goes_on_when_its_client_may_go_on(guarded: OpenedDoor) -> None:
    one = await guarded.line()
    await one.ask(command("AUTH", "admin") + command("MULTI"), b"+OK\r\n" * 2)
    await one.ask(command("AUTH", "predict") + command("EXEC"), b"+OK\r\n" + NOPERM)

    await one.ask(command("AUTH", "admin") + command("INCR", "a"), b"+OK\r\n+QUEUED\r\n")
    await one.ask(command("EXEC") + command("T.GET", "a"), b"*1\r\n:1\r\n$1\r\n1\r\n")


async def test_a_token_for_predictions_reads_what_was_counted_and_does_not_reset_it(
    guarded: OpenedDoor,
) -> None:
    one = await guarded.line()
    unknown = b"-ERR cannot find run info for key\r\n"
    await one.ask(command("AUTH", "predict") + command("AI.INFO", "m"), b"+OK\r\n" + unknown)

    refused = b"-NOPERM this token may predict; RESETSTAT needs a token of scope admin\r\n"
    await one.ask(command("AI.INFO", "m", "resetstat"), refused)

    await one.ask(command("AUTH", "admin") + command("AI.INFO", "m", "resetstat"), b"+OK\r\n" + unknown)


async def test_a_token_for_predictions_has_no_more_bytes_kept_than_a_request_over_http(
    open_door: OpenDoor,
) -> None:
    door = await open_door(tokens=tuple(TOKENS), max_body_bytes=2048)
    one = await door.line()
    model = command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", bytes(4096))
    await one.ask(command("AUTH", "predict"), b"+OK\r\n")

    await one.say(model[:1000])

    assert await one.until_end() == b"-ERR Protocol error: AI.MODELSTORE is longer than 2048 bytes\r\n"
