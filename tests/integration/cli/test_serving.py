"""serve, up and predict: a real server process, asked over HTTP."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from shutil import which

import httpx
import pytest

from tests.certificates import Certificates, make_certificates, openssl
from tests.conftest import missing
from tests.integration.cli.conftest import Result, Running, processes_about
from tests.servers import bundled_server, free_port, wait_until

Insitu = Callable[..., Result]
Start = Callable[..., Running]

needs_embedded = pytest.mark.skipif(bundled_server() is None, reason="the extra `embedded` is not installed")


def test_a_key_is_predicted_through_the_server(insitu: Insitu, server: str) -> None:
    one = insitu("predict", "churn", "customer:2", "--url", server)
    data = insitu("predict", "churn", "customer:2", "--json", INSITU_URL=server)

    assert one.code == 0
    assert "customer:2  leaves" in one.out
    assert data.json["predictions"][0]["label"] == "leaves"


def test_a_bad_row_fails_alone_and_the_command_says_so(insitu: Insitu, server: str) -> None:
    mixed = insitu("predict", "churn", "customer:1", "customer:3", "other:1", "--json", "--url", server)

    rows = mixed.json["predictions"]
    assert mixed.code == 1
    assert rows[0]["label"] == "stays"
    assert [row["error"]["code"] for row in rows[1:]] == ["field_missing", "key_not_allowed"]


def test_every_way_of_asking_gives_the_same_answer(insitu: Insitu, server: str) -> None:
    ways = [
        ("customer:1",),
        ("customer:1", "--version", "1"),
        ("customer:1", "--version", "production"),
        ("--instances", '[{"id": 1}]'),
        ("--inputs", '{"x": [[60, 10]]}'),
    ]

    rows = [
        insitu("predict", "churn", *way, "--json", "--url", server).json["predictions"][0] for way in ways
    ]

    assert [row["label"] for row in rows] == ["stays"] * 5
    assert [row["probabilities"] for row in rows] == [rows[0]["probabilities"]] * 5


def test_rows_come_from_a_file_or_from_standard_input(insitu: Insitu, server: str, tmp_path: Path) -> None:
    rows = json.dumps([{"id": 1}, {"id": 2}])
    file = tmp_path / "rows.json"
    file.write_text(rows)

    from_file = insitu("predict", "churn", "--instances", f"@{file}", "--json", "--url", server)
    from_pipe = insitu("predict", "churn", "--instances", "@-", "--json", "--url", server, given=rows)

    assert from_file.json == from_pipe.json
    assert [row["label"] for row in from_file.json["predictions"]] == ["stays", "leaves"]


def test_a_missing_value_is_stood_in_for_when_asked(insitu: Insitu, server: str) -> None:
    filled = insitu("predict", "churn", "customer:3", "--missing", "0", "--json", "--url", server)

    assert filled.code == 0
    assert filled.json["predictions"][0]["filled"]


def test_an_unknown_model_is_the_servers_own_error(insitu: Insitu, server: str) -> None:
    refused = insitu("predict", "nope", "k", "--url", server, "--json")

    assert refused.code == 1
    assert refused.json["error"]["code"] == "model_not_found"
    assert (refused.json["error"]["model"], refused.json["error"]["status"]) == ("nope", 404)


@pytest.mark.parametrize("keys", [("customer:*",), ("customer:1", "customer:*")])
def test_a_pattern_as_key_is_told_how_to_score_it(insitu: Insitu, server: str, keys: tuple[str, ...]) -> None:
    refused = insitu("predict", "churn", *keys, "--url", server)

    assert refused.code == 1
    assert "insitu score churn --match 'customer:*'" in refused.err


def test_a_port_with_a_server_of_ours_is_told_as_such(insitu: Insitu, server: str) -> None:
    refused = insitu("serve", "--port", server.rpartition(":")[2], "--log-level", "warning")

    assert refused.code == 1
    assert "an Insitu server already answers there" in refused.error


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_bad_setting_is_told_before_redis_is_looked_for(insitu: Insitu, command: str) -> None:
    refused = insitu(command, INSITU_REDIS_URL="", INSITU_PORT="abc")

    assert refused.code == 2
    assert "INSITU_PORT is 'abc'" in refused.error


def test_files_that_no_tls_can_be_spoken_with_are_told_before_anything_is_loaded(
    insitu: Insitu, tmp_path: Path
) -> None:
    if which("openssl") is None:
        missing("no openssl to make certificates with")
    make_certificates(tmp_path)
    openssl(tmp_path, "ec", "-in", "server.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
    (tmp_path / "text.pem").write_text("no certificate")
    cases = [
        ("none.crt", "server.key", "tls_cert ", "cannot be read: No such file or directory"),
        ("server.crt", ".", "tls_key ", "cannot be read: Is a directory"),
        ("text.pem", "text.pem", "tls_cert ", "are no certificate and its key ("),
        ("server.crt", "client.key", "tls_cert ", "are no certificate and its key ("),
        ("server.crt", "locked.key", "tls_cert ", "both are PEM, the key without a passphrase"),
    ]

    for certificate, key, option, told in cases:
        wrong = insitu("serve", "--tls-cert", str(tmp_path / certificate), "--tls-key", str(tmp_path / key))
        assert wrong.code == 2
        assert wrong.error.startswith(f"error: {option}")
        assert told in wrong.error


def over_tls(running: Start, folder: Path) -> tuple[str, Certificates]:
    """Start a server that speaks TLS; return where it answers, and the certificates made for it."""
    if which("openssl") is None:
        missing("no openssl to make certificates with")
    made = make_certificates(folder)
    tls = ("--tls-cert", str(made.certificate("server")), "--tls-key", str(made.key("server")))
    return running("serve", "--port", "0", "--log-level", "error", "--json", *tls).told()["url"], made


def test_a_server_with_a_certificate_of_ones_own_is_asked_where_its_authority_is_named(
    insitu: Insitu, running: Start, published: None, tmp_path: Path
) -> None:
    url, made = over_tls(running, tmp_path)

    asked = insitu("predict", "churn", "customer:1", "--url", url, SSL_CERT_FILE=str(made.authority))
    stranger = insitu("predict", "churn", "customer:1", "--url", url)
    checked = insitu("check", "--json", "--url", url)

    assert asked.code == 0
    assert "customer:1  stays" in asked.out
    assert stranger.code == 3
    assert "set SSL_CERT_FILE to the certificate of its authority" in stranger.error
    assert checked.json["findings"][-1]["cure"].startswith("set SSL_CERT_FILE to ")


def test_a_port_with_a_server_of_ours_that_speaks_tls_is_told_as_such(
    insitu: Insitu, running: Start, published: None, tmp_path: Path
) -> None:
    url, _ = over_tls(running, tmp_path)

    refused = insitu("serve", "--port", url.rpartition(":")[2], "--log-level", "warning")

    assert refused.code == 1
    assert "an Insitu server already answers there" in refused.error


def test_no_server_is_code_3(insitu: Insitu) -> None:
    away = insitu("predict", "churn", "customer:1")

    assert away.code == 3
    assert "no server answers at http://127.0.0.1:1" in away.error


def test_a_token_is_sent(insitu: Insitu, running: Start, published: None) -> None:
    made = insitu("token", "--json").json
    url = running(
        "serve", "--port", "0", "--log-level", "error", "--json", INSITU_TOKENS=made["entry"]
    ).told()["url"]

    without = insitu("predict", "churn", "customer:1", "--url", url)
    with_it = insitu("predict", "churn", "customer:1", "--url", url, INSITU_TOKEN=made["token"])

    assert without.code == 1
    assert "INSITU_TOKEN, or --token" in without.error
    assert with_it.code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_with_code_0(running: Start, number: int) -> None:
    server = running("serve", "--port", "0", "--log-level", "error", "--json", fresh=True)
    server.told()

    assert server.end(number) == 0


def test_a_taken_port_is_named_with_the_cure(insitu: Insitu) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        refused = insitu("serve", "--port", str(port), "--log-level", "error")

    assert refused.code == 1
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in refused.error


def test_a_host_that_is_no_name_of_this_machine_is_named_with_the_cure(insitu: Insitu) -> None:
    refused = insitu("serve", "--host", "[::1", "--allow-anonymous", "--log-level", "error")

    assert refused.code == 1
    assert (
        "the server cannot listen on [::1 (Name or service not known): no such name is known" in refused.error
    )


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (
            "2001:db8::7",
            "cannot listen on [2001:db8::7]:8123 (Cannot assign requested address): this machine has",
        ),
        (
            "fe80::1",
            "cannot listen on [fe80::1]:8123 (Invalid argument): an address of one link goes with its inter",
        ),
    ],
)
def test_an_ipv6_address_that_cannot_be_listened_on_is_named_as_urls_have_it(
    insitu: Insitu, host: str, told: str
) -> None:
    if not socket.has_dualstack_ipv6():
        missing("no IPv6 here")
    refused = insitu("serve", "--host", host, "--port", "8123", "--allow-anonymous", "--log-level", "error")

    assert refused.code == 1
    assert told in refused.error


def test_an_address_of_a_server_that_is_none_is_told_with_the_rule(insitu: Insitu) -> None:
    refused = insitu("predict", "m", "k:1", "--url", "http://::1:8000")

    assert refused.code == 2
    assert "the server's address 'http://::1:8000' is none" in refused.error
    assert "an IPv6 address in brackets, http://[::1]:8000" in refused.error


def test_every_address_of_this_machine_is_listened_on_by_every_door(running: Start) -> None:
    if not socket.has_dualstack_ipv6():
        missing("no IPv6 here")
    words = ("--host", "::", "--allow-anonymous", "--port", "0", "--log-level", "error", "--json")
    told = running("serve", *words).told()

    for place in (told["url"], told["grpc"], told["resp"]):
        for address in ("::1", "127.0.0.1"):
            socket.create_connection((address, int(place.rpartition(":")[2])), timeout=5).close()


def test_cuda_asked_for_by_name_and_not_there_refuses_to_start(insitu: Insitu) -> None:
    refused = insitu("serve", "--port", "0", "--provider", "cuda", "--log-level", "error")

    assert refused.code == 1
    assert "INSITU_PROVIDER" in refused.error


@needs_embedded
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_up_starts_redis_too_and_stops_both(running: Start, tmp_path: Path, number: int) -> None:
    directory = tmp_path / "up"
    words = ("up", "--port", "0", "--data-dir", str(directory), "--log-level", "error", "--json")
    both = running(*words, fresh=True, without=("INSITU_REDIS_URL",))

    told = both.told()

    assert told["redis_url"].startswith("redis://127.0.0.1:")
    assert both.end(number) == 0
    wait_until(lambda: processes_about(str(directory)) == [], "a process is left")


@needs_embedded
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_up_runs_several_workers_and_stops_them_and_redis(
    running: Start, tmp_path: Path, number: int
) -> None:
    directory = tmp_path / "up"
    words = (
        "up",
        "--workers",
        "2",
        "--port",
        "0",
        "--data-dir",
        str(directory),
        "--log-level",
        "error",
        "--json",
    )
    several = running(*words, fresh=True, without=("INSITU_REDIS_URL",))

    told = several.told()

    assert told["redis_url"].startswith("redis://127.0.0.1:")
    assert several.end(number) == 0
    wait_until(lambda: processes_about(str(directory)) == [], "a process is left")
    with pytest.raises(httpx.ConnectError):
        httpx.get(told["url"] + "/health/live")


@needs_embedded
def test_up_leaves_a_redis_alone_that_somebody_else_started(
    running: Start, insitu: Insitu, tmp_path: Path
) -> None:
    words = ("up", "--port", "0", "--data-dir", str(tmp_path / "up"), "--log-level", "error", "--json")
    first = running(*words, fresh=True, without=("INSITU_REDIS_URL",))
    first.told()
    second = running(*words, fresh=True, without=("INSITU_REDIS_URL",))
    second.told()

    assert second.end() == 0

    listed = insitu("models", "--json", INSITU_REDIS_URL="", INSITU_DATA_DIR=str(tmp_path / "up"))
    assert listed.json == []
    assert first.end() == 0


def test_up_uses_the_redis_that_is_named(running: Start, redis_url: str) -> None:
    told = running("up", "--port", str(free_port()), "--log-level", "error", "--json").told()

    assert told["redis_url"] == redis_url
