"""What goes wrong with Redis is either a silence or a refusal, never an error of the client library."""

from ssl import SSLCertVerificationError

import pytest
from redis import exceptions

from models.errors import InsituError, RedisRefused, RedisUnavailable
from models.redis_failures import reason, redis_errors

SILENT = [
    exceptions.ConnectionError("Error 111 connecting"),
    exceptions.TimeoutError("Timeout reading"),
    exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    exceptions.MaxConnectionsError("Too many connections"),
    exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"),
    exceptions.MasterDownError("MASTERDOWN Link with MASTER is down"),
    exceptions.ResponseError("BUSY Redis is busy running a script."),
    exceptions.RedisClusterException("Redis Cluster cannot be connected"),
    exceptions.SlotNotCoveredError("slot 1 not covered"),
    exceptions.InvalidResponse("Protocol Error"),
    ConnectionResetError("reset"),
    TimeoutError(),
]
REFUSALS = [
    exceptions.ResponseError("WRONGTYPE Operation"),
    exceptions.ResponseError("BUSYGROUP Consumer Group name already exists"),
    exceptions.OutOfMemoryError("command not allowed"),
    exceptions.NoPermissionError("User guest has no permissions"),
    exceptions.ReadOnlyError("You can't write against a read only replica."),
    exceptions.AuthenticationError("invalid username-password pair"),
    exceptions.AuthorizationError("not authorised"),
]


async def failing(error: Exception) -> None:
    async with redis_errors():
        raise error


@pytest.mark.parametrize("error", SILENT, ids=lambda error: type(error).__name__)
async def test_a_redis_that_does_not_answer_is_unavailable(error: Exception) -> None:
    with pytest.raises(RedisUnavailable) as caught:
        await failing(error)

    assert caught.value.__cause__ is error
    assert caught.value.details["reason"]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_redis_that_says_no_refuses(error: Exception) -> None:
    with pytest.raises(RedisRefused) as caught:
        await failing(error)

    assert caught.value.details["reason"] == str(error).rstrip(".")
    assert str(caught.value).startswith(f"Redis refused: {str(error).rstrip('.')}")


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("NOPERM User x has no permissions to run the 'config|get' command", "ACL SETUSER NAME +config|get"),
        (
            "this user has no permissions to access one of the keys used as arguments",
            "names the key; `Rights`",
        ),
        ("No permissions to access a key", "names the key; `Rights`"),
        ("this user has no permissions to access one of the channels used as arguments", "names the channel"),
        ("command not allowed when used memory > 'maxmemory'", "raise its maxmemory"),
        ("You can't write against a read only replica", "the URL of its primary"),
        ("MISCONF Redis is configured to save RDB snapshots, but", "give its disk room"),
        ("NOREPLICAS Not enough good replicas to write", "bring its replicas back"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "the right user and password"),
        ("NOAUTH Authentication required.", "the right user and password"),
    ],
)
def test_what_redis_refuses_is_told_with_what_cures_it(said: str, cure: str) -> None:
    refused = RedisRefused(said)

    assert str(refused).startswith(f"Redis refused: {said}; ")
    assert cure in str(refused)
    assert refused.details["reason"] == said


async def test_what_tls_says_is_told_first() -> None:
    expired = SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    expired.verify_message = "certificate has expired"
    lost = exceptions.ConnectionError("Error 1 connecting to redis.example:6379, which takes a lot of words.")
    lost.__context__ = expired

    with pytest.raises(RedisUnavailable) as caught:
        await failing(lost)

    assert caught.value.details["reason"] == "TLS: certificate has expired"


@pytest.mark.parametrize("kind", [exceptions.MovedError, exceptions.AskError])
async def test_a_node_of_a_cluster_says_how_it_is_reached(kind: type[exceptions.AskError]) -> None:
    with pytest.raises(
        RedisRefused, match=r"a node of a Redis Cluster; begin its URL with redis\+cluster://"
    ):
        await failing(kind("12621 127.0.0.1:22027"))


async def test_a_refusal_while_connecting_is_no_silence() -> None:
    refusal = exceptions.ConnectionError("wrapped")
    refusal.__cause__ = exceptions.AuthenticationError("invalid username-password pair")

    with pytest.raises(RedisRefused, match="invalid username-password pair"):
        await failing(refusal)


@pytest.mark.parametrize("error", [ValueError("ours"), InsituError("ours"), KeyError("ours")])
async def test_faults_of_our_own_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await failing(error)

    assert caught.value is error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("WRONGTYPE Operation", "WRONGTYPE Operation"),
        ("Command # 1 (SET k v) of pipeline caused error: ('OOM not allowed.',)", "OOM not allowed"),
        ('Command # 1 (SET k v) of pipeline caused error: ("can\'t",)', "can't"),
        ("Command # 2 (SET k v) of pipeline caused error: OOM", "OOM"),
        (f"OOM not allowed. script: {'0f' * 20}, on @user_script:22.", "OOM not allowed"),
        ("OOM not allowed. script: on @user_script:6.", "OOM not allowed"),
    ],
)
def test_the_reason_is_what_redis_said_without_the_command(text: str, told: str) -> None:
    assert reason(exceptions.ResponseError(text)) == told


async def test_a_long_address_does_not_hide_why_nobody_answers() -> None:
    with pytest.raises(
        RedisUnavailable, match=r"does not answer \(No such file or directory \(Error 2"
    ) as caught:
        await failing(
            exceptions.ConnectionError(f"Error 2 connecting to /{'d' * 90}. No such file or directory.")
        )

    assert "/ddd" in str(caught.value)


async def test_a_node_that_refuses_its_slots_to_a_user_is_no_node_of_none() -> None:
    hidden = exceptions.RedisClusterException("Cluster mode is not enabled on this node")
    hidden.__context__ = exceptions.NoPermissionError("no permissions to run the 'cluster|slots' command")
    told = exceptions.RedisClusterException("Redis Cluster cannot be connected")
    told.__cause__ = hidden

    with pytest.raises(RedisRefused, match=r"ACL SETUSER NAME \+cluster\|slots"):
        await failing(told)
