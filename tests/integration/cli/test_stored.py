"""publish, models, promote, rollback and delete against a real Redis."""

import asyncio
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from cli import connection
from cli.connection import opened
from cli.errors import RedisUnreachable
from cli.listing import every_model
from cli.settings import Settings
from models.store import ModelStore
from tests.integration.cli.conftest import COMMAND, ROOT, Environment, Result, publish
from tests.integration.rest import graphs
from tests.servers import RedisServer, free_port

Insitu = Callable[..., Result]


def test_a_published_file_is_listed(insitu: Insitu, published: None) -> None:
    listed = insitu("models")

    assert listed.code == 0
    assert listed.out.splitlines()[1].split()[:5] == ["churn", "1", "1", "accuracy", "0.9100"]


def test_a_pipe_gets_no_colour_and_no_frame(insitu: Insitu, published: None) -> None:
    assert "\x1b" not in insitu("models").out
    assert "\x1b[3" not in insitu("models", FORCE_COLOR="1", NO_COLOR="1").out


def test_a_url_that_does_not_fit_its_redis_is_told_with_what_cures_it(
    insitu: Insitu, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server(port=free_port())
    place = server.tcp_url.removeprefix("redis://")
    with server.connect() as redis:
        redis.execute_command("ACL", "SETUSER", "limited", "on", ">x", "-@all")
    cases = [
        ("models", f"redis://nobody:wrong@{place}", "put the right user and password into the URL"),
        ("serve", f"redis://nobody:wrong@{place}", "put the right user and password into the URL"),
        ("models", f"redis://limited:x@{place}", "allow this user what `Rights` in docs/redis-keys.md lists"),
        ("models", f"redis://{place}/99", "name a database that it has, redis://HOST:6379/0"),
        ("models", f"redis+sentinel://{place}/features", "it is no sentinel: name one, or this Redis itself"),
        (
            "models",
            f"redis+cluster://{place}",
            "it is no cluster: write redis:// in place of redis+cluster://",
        ),
        ("models", f"rediss://{place}", "write redis:// where it speaks no TLS"),
    ]

    for command, url, cure in cases:
        more = ("--port", "0", "--log-level", "error") if command == "serve" else ()
        wrong = insitu(command, "--redis-url", url, *more)
        assert wrong.code == 3
        assert cure in wrong.error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_output_that_takes_no_more_is_no_fault_of_this_program(
    environment: Environment, published: None, options: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "models", *options],
            cwd=ROOT,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert (
        done.stderr == "error: no more can be written: No space left on device; make room, then try again\n"
    )


@pytest.mark.parametrize("words", [("models",), ("models", "--json"), ("--version",)])
def test_a_reader_that_went_ends_a_command_without_a_word(
    environment: Environment, published: None, words: tuple[str, ...]
) -> None:
    read, written = os.pipe()
    os.close(read)

    done = subprocess.run(
        [*COMMAND, *words], cwd=ROOT, env=environment, stdout=written, stderr=subprocess.PIPE, check=False
    )

    os.close(written)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("models ch", ["churn"]),
        ("models churn :", ["canary", "production", "1"]),
        ("models churn : c", ["canary"]),
        ("models churn:c", ["churn:canary"]),
        ("train x --from churn : p", ["production"]),
        ("predict churn user : 7 --ver", ["--version"]),
        ("promote churn ", ["canary", "production", "1"]),
        ("promote churn 1 --alias ", ["canary", "production"]),
        ("rollback churn --alias c", ["canary"]),
        ("predict churn --version p", ["production"]),
        ("delete churn ", ["1"]),
        ("promote nope ", []),
        ("promote churn 1 --al", ["--alias"]),
        ("serve --provider ", ["auto", "cpu", "cuda"]),
        ("up --log-level w", ["warning"]),
    ],
)
def test_models_versions_and_aliases_are_completed(
    insitu: Insitu, published: None, line: str, words: list[str]
) -> None:
    insitu("promote", "churn", "1", "--alias", "canary")

    typed = f"insitu {line}"
    place = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_INSITU_COMPLETE": "complete_bash"}
    done = insitu(**place)

    assert done.out.split() == words


def test_publishing_again_makes_the_next_version(
    insitu: Insitu, published: None, churn: tuple[str, str]
) -> None:
    again = insitu("publish", churn[0], "-n", "churn", "--alias", "none", "--json")

    assert again.json == {
        "model": "churn",
        "version": 2,
        "alias": None,
        "tried": True,
        "digest": again.json["digest"],
        "size_bytes": Path(churn[0]).stat().st_size,
    }
    assert insitu("models", "churn", "--json").json["aliases"] == {"production": 1}
    shown = insitu("models", "churn:2").out
    assert ["reads", "customer:{id}", "(hash)"] in [line.split() for line in shown.splitlines()]


def test_a_version_is_shown_whole(insitu: Insitu, published: None) -> None:
    shown = insitu("models", "churn:production")
    data = insitu("models", "churn:1", "--json").json

    assert ["reads", "customer:{id}", "(hash)"] in [line.split() for line in shown.out.splitlines()]
    assert (data["name"], data["version"], data["labels"]) == ("churn", 1, ["stays", "leaves"])
    assert data["aliases"] == ["production"]


def test_an_alias_moves_and_goes_back(insitu: Insitu, published: None, churn: tuple[str, str]) -> None:
    insitu("publish", churn[0], "--name", "churn", "--alias", "canary")

    forward = insitu("promote", "churn", "canary", "--json")
    back = insitu("rollback", "churn", "--json")
    further = insitu("rollback", "churn")

    assert forward.json == {"model": "churn", "alias": "production", "version": 2}
    assert back.json == {"model": "churn", "alias": "production", "version": 1}
    assert further.code == 1
    assert "no earlier version to go back to" in further.error


def test_traffic_is_set_shown_and_ended(insitu: Insitu, published: None, churn: tuple[str, str]) -> None:
    for alias in ("canary", "shadow"):
        insitu("publish", churn[0], "--name", "churn", "--alias", alias)

    none = insitu("traffic", "churn")
    put = insitu("traffic", "churn", "production=3", "canary=1", "--json")
    shown = insitu("traffic", "churn")
    listed, model = insitu("models"), insitu("models", "churn")
    data, version = insitu("models", "churn", "--json").json, insitu("models", "churn:2")
    ended, gone = insitu("traffic", "churn", "--clear", "--json"), insitu("traffic", "churn", "--clear")

    assert "no traffic rule; production answers everything" in none.out
    rule = {"weights": {"1": 3, "2": 1}, "percent": {"1": 75.0, "2": 25.0}}
    assert put.json == {"model": "churn", **rule}
    assert [line.split() for line in shown.out.splitlines()[1:]] == [["1", "3", "75%"], ["2", "1", "25%"]]
    assert "1 75%, 2 25%; shadow 3" in listed.out
    assert "1 75%, 2 25%; shadow 3" in model.out
    assert data["traffic"] == {"1": 75.0, "2": 25.0}
    assert "25% of production's requests" in version.out
    assert ended.json == {"model": "churn", "weights": None, "percent": None}
    assert (gone.code, "has no traffic rule" in gone.error) == (1, True)


@pytest.mark.parametrize(
    ("shares", "code", "told"),
    [
        (("1=95", "9=5"), 1, "no version 9; stored versions: 1"),
        (("1=95", "canary=5"), 1, "no alias 'canary'"),
        (("1=0",), 1, "a weight is over 0"),
        (("1=nan",), 1, "which is no number"),
        (("1=5", "production=5"), 2, "a version is given twice"),
    ],
)
def test_traffic_that_cannot_be_shared_so_is_refused(
    insitu: Insitu, published: None, shares: tuple[str, ...], code: int, told: str
) -> None:
    refused = insitu("traffic", "churn", *shares)

    assert refused.code == code
    assert told in refused.error
    assert insitu("traffic", "churn", "--json").json["percent"] is None


def test_a_version_is_deleted_when_nothing_points_to_it(
    insitu: Insitu, published: None, redis_url: str
) -> None:
    asyncio.run(publish(redis_url, graphs.churn()))

    refused = insitu("delete", "churn", "2", "--yes")
    unasked = insitu("delete", "churn", "1")
    done = insitu("delete", "churn", "1", "--yes", "--json")

    assert refused.code == 1
    assert "production points to" in refused.error
    assert unasked.code == 2
    assert "--yes" in unasked.error
    assert done.json == {"model": "churn", "deleted": 1}
    assert insitu("models", "churn", "--json").json["versions"] == [2]


def test_the_only_version_of_a_model_is_deleted_with_its_aliases(insitu: Insitu, published: None) -> None:
    insitu("promote", "churn", "1", "--alias", "canary")

    refused = insitu("delete", "churn", "1", "--yes")
    done = insitu("delete", "churn", "1", "--yes", "--with-aliases")

    assert "`insitu delete churn 1 --with-aliases`" in refused.error
    assert (done.code, done.out) == (0, "churn: version 1 is deleted\n")
    assert insitu("models", "--json").json == []


def test_the_traffic_rule_ends_with_production_where_that_is_deleted(
    insitu: Insitu, published: None, redis_url: str
) -> None:
    asyncio.run(publish(redis_url, graphs.churn()))
    insitu("traffic", "churn", "1=50", "2=50")

    done = insitu("delete", "churn", "2", "--yes", "--with-aliases")

    assert done.code == 0
    assert insitu("traffic", "churn", "--json").json["percent"] is None
    assert insitu("models", "churn", "--json").json["aliases"] == {}


def test_a_version_with_traffic_keeps_its_aliases(insitu: Insitu, published: None, redis_url: str) -> None:
    asyncio.run(publish(redis_url, graphs.churn()))
    insitu("promote", "churn", "1", "--alias", "canary")
    insitu("traffic", "churn", "1=50", "2=50")

    refused = insitu("delete", "churn", "1", "--yes", "--with-aliases")

    assert refused.code == 1
    assert refused.error.endswith("promote another version and `insitu traffic churn --clear` first\n")
    assert insitu("models", "churn", "--json").json["aliases"] == {"production": 2, "canary": 1}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("churn", "9"), "model 'churn' has no version 9"),
        (("nope", "1"), "model 'nope' is not stored"),
        (("churn", "1"), "production points to"),
        (
            ("churn", "2"),
            "version 2 of model 'churn' has a share of the traffic; `insitu traffic churn --clear`",
        ),
        (
            ("churn", "2", "--with-aliases"),
            "has a share of the traffic; `insitu traffic churn --clear` first",
        ),
    ],
)
def test_nobody_is_asked_about_a_version_that_cannot_be_deleted(
    insitu: Insitu, published: None, redis_url: str, words: tuple[str, ...], told: str
) -> None:
    asyncio.run(publish(redis_url, graphs.churn()))
    insitu("promote", "churn", "1")
    insitu("traffic", "churn", "1=50", "2=50")

    refused = insitu("delete", *words)

    assert refused.code == 1
    assert told in refused.error


def test_somebody_at_a_terminal_is_asked_before_a_version_goes(
    environment: Environment, insitu: Insitu, published: None, redis_url: str
) -> None:
    asyncio.run(publish(redis_url, graphs.churn()))

    asked = answered(environment, b"n\n", "delete", "churn", "1")
    kept = insitu("models", "churn", "--json").json["versions"]
    answered(environment, b"y\n", "delete", "churn", "1")

    assert "Delete version 1 of churn for good?" in asked
    assert kept == [1, 2]
    assert insitu("models", "churn", "--json").json["versions"] == [2]


def answered(environment: Environment, typed: bytes, *words: str) -> str:
    """Run a command at a terminal of its own, type an answer, and return what it asked."""
    keyboard, terminal = pty.openpty()
    os.write(keyboard, typed)
    command = [*COMMAND, *words]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(keyboard)
    os.close(terminal)
    return done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("models", "nope"), "model 'nope' is not stored"),
        (("models", "churn:9"), "no version 9; stored versions: 1"),
        (("models", "churn:canary"), "no alias 'canary'"),
        (("promote", "churn", "9"), "no version 9"),
        (("models", "chrun"), "model 'chrun' is not stored; did you mean 'churn'? `insitu models` lists"),
        (("rollback", "nope"), "model 'nope' is not stored"),
        (("traffic", "nope"), "model 'nope' is not stored"),
        (("score", "nope"), "model 'nope' is not stored"),
    ],
)
def test_what_is_not_there_is_named_and_code_1(
    insitu: Insitu, published: None, words: tuple[str, ...], told: str
) -> None:
    missing = insitu(*words)

    assert missing.code == 1
    assert told in missing.error
    assert missing.out == ""


def test_a_file_that_is_no_model_is_refused(insitu: Insitu, tmp_path: Path) -> None:
    file = tmp_path / "noise.onnx"
    file.write_bytes(b"not a model at all")

    refused = insitu("publish", str(file), "--name", "noise", "--json")

    assert refused.code == 1
    assert refused.json["error"]["code"] == "bad_model_file"
    assert insitu("models", "--json").json == []


def test_labels_that_do_not_fit_are_refused(insitu: Insitu, churn: tuple[str, str]) -> None:
    refused = insitu("publish", churn[0], "--name", "churn", "--labels", "a,b,c")

    assert refused.code == 1
    assert insitu("models", "--json").json == []


def test_a_name_that_is_none_is_wrong_usage(insitu: Insitu, churn: tuple[str, str]) -> None:
    assert insitu("publish", churn[0], "--name", "../x").code == 2


@pytest.mark.parametrize(
    "words", [("models",), ("promote", "churn", "1"), ("train", "digits"), ("score", "churn")]
)
def test_a_redis_that_is_away_is_code_3(insitu: Insitu, words: tuple[str, ...]) -> None:
    away = insitu(*words, "--redis-url", f"redis://user:secret@127.0.0.1:{free_port()}")

    assert away.code == 3
    assert "does not answer" in away.error
    assert "secret" not in away.err


async def test_a_redis_that_is_silent_is_told_within_seconds(
    redis_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection.ANSWER_SECONDS == 5
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)
    server = redis_server()
    server.pause()

    async with asyncio.timeout(5):
        with pytest.raises(RedisUnreachable, match=r"does not answer \(no reply within 0.2 s\); start it"):
            async with opened(Settings(redis_url=server.url)):
                pass
    server.resume()


def test_a_right_that_lacks_is_named(
    insitu: Insitu, redis_server: Callable[..., RedisServer], churn: tuple[str, str]
) -> None:
    server = redis_server(port=free_port())
    insitu("publish", churn[0], "--name", "churn", "--redis-url", server.url)
    with server.connect() as client:
        client.execute_command(
            "ACL", "SETUSER", "reads", "on", ">pw", "%R~*", "-@all", "+@read", "+@connection"
        )

    done = insitu("promote", "churn", "1", "--redis-url", server.tcp_url.replace("//", "//reads:pw@"))

    assert done.code == 1
    assert "permissions to run the 'eval' command; ACL SETUSER NAME +eval allows it" in done.err


def test_sentinels_that_are_away_are_told_in_one_short_line(insitu: Insitu) -> None:
    url = f"redis+sentinel://bob:secret@127.0.0.1:{free_port()}/features"

    away = insitu("models", INSITU_REDIS_URL=url)

    assert away.code == 3
    assert "does not answer (No master found for 'features'); start sentinels that watch" in away.error
    assert "secret" not in away.error
    assert len(away.error) < 250


def test_a_replica_that_answers_nobody_without_its_primary_is_told_as_that(
    insitu: Insitu, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server(port=free_port())
    with server.connect() as client:
        client.config_set("replica-serve-stale-data", "no")
        client.execute_command("REPLICAOF", "127.0.0.1", free_port())

    done = insitu("models", "--redis-url", server.tcp_url)

    assert done.code == 3
    assert "give the URL of its primary, or bring that back" in done.error


@pytest.mark.parametrize(
    ("said", "cure"),
    [("Redis is loading the dataset in memory", "wait until it has read its data"), ("Refused", "start it")],
)
def test_a_redis_that_reads_its_data_is_waited_for(said: str, cure: str) -> None:
    assert connection.cure_for(said, "start it").startswith(cure)


async def test_a_redis_that_a_script_keeps_busy_is_told_with_what_ends_it(
    redis_server: Callable[..., RedisServer],
) -> None:
    server = redis_server()
    with server.connect() as client, server.connect() as other:
        client.config_set("busy-reply-threshold", 20)
        script = asyncio.create_task(asyncio.to_thread(client.eval, "while true do end", 0))
        with pytest.raises(ResponseError, match="BUSY"):
            await asyncio.to_thread(all, iter(other.ping, None))
        try:
            with pytest.raises(RedisUnreachable, match=r"\(BUSY .*\); wait for the script, or end it"):
                async with opened(Settings(redis_url=server.url)):
                    pass
        finally:
            await asyncio.to_thread(other.script_kill)
            with pytest.raises(ResponseError, match="killed"):
                await script


@pytest.mark.parametrize("words", [("models",), ("serve",), ("score", "churn")])
def test_without_any_redis_the_error_says_how_to_get_one(insitu: Insitu, words: tuple[str, ...]) -> None:
    nowhere = insitu(*words, INSITU_REDIS_URL="")

    assert nowhere.code == 3
    assert "start one with `insitu up`" in nowhere.error


def test_a_url_that_is_none_is_wrong_usage(insitu: Insitu) -> None:
    assert insitu("models", INSITU_REDIS_URL="localhost").code == 2


def test_two_prefixes_never_meet(insitu: Insitu, published: None) -> None:
    assert insitu("models", "--prefix", "other", "--json").json == []


def test_control_characters_of_a_description_are_not_obeyed(
    insitu: Insitu, churn: tuple[str, str], redis_url: str
) -> None:
    insitu("publish", churn[0], "--name", "evil", "--description", "\x1b[2Jgone")

    assert "\\x1b[2Jgone" in insitu("models", "evil").out


def test_a_manifest_that_cannot_be_read_hides_no_other(
    insitu: Insitu, published: None, redis_url: str
) -> None:
    asyncio.run(publish(redis_url, graphs.churn("broken")))
    with Redis.from_url(redis_url) as client:
        client.set("insitu:{broken}:v1:manifest", "{}")

    listed = insitu("models")

    assert listed.code == 0
    assert "unreadable" in listed.out
    assert "churn" in listed.out


def test_a_manifest_that_is_missing_hides_no_other(insitu: Insitu, published: None, redis_url: str) -> None:
    asyncio.run(publish(redis_url, graphs.churn("broken")))
    with Redis.from_url(redis_url) as client:
        client.delete("insitu:{broken}:v1:manifest")

    listed, shown = insitu("models"), insitu("models", "broken")

    assert (listed.code, shown.code) == (0, 0)
    assert "churn" in listed.out
    assert all("insitu:{broken}:v1:manifest is missing" in one.out for one in (listed, shown))


async def test_a_model_that_is_deleted_meanwhile_hides_no_other(redis_url: str) -> None:
    class Slow(ModelStore):
        """A store whose first model goes once the names are read."""

        async def names(self) -> list[str]:
            found = await super().names()
            await self.remove_alias(found[0], "production")
            await self.delete(found[0], 1)
            return found

    for name in ("brief", "churn"):
        await publish(redis_url, graphs.churn(name))
    async with AsyncRedis.from_url(redis_url) as client:
        found = await every_model(Slow(client))

    assert [stored.name for stored in found] == ["churn"]


@pytest.mark.parametrize("command", ["promote", "explain"])
def test_model_names_are_completed_from_redis(insitu: Insitu, published: None, command: str) -> None:
    words = {"COMP_WORDS": f"insitu {command} ch", "COMP_CWORD": "2", "_INSITU_COMPLETE": "complete_bash"}

    assert insitu(**words).out.split() == ["churn"]
