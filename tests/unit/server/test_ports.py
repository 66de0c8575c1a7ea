"""Tests of the ports of the doors beside HTTP."""

import pytest

from server.settings import ServerSettings


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({}, 8002),
        ({"port": 9000}, 9002),
        ({"port": 0}, 0),
        ({"port": 65534}, 0),
        ({"resp_port": 6379}, 6379),
        ({"resp_port": -1}, None),
        ({"redis_url": "redis+cluster://node:7000"}, None),
    ],
)
def test_the_port_of_the_redis_protocol_is_two_after_that_of_http_unless_said(
    given: dict[str, object], port: int | None
) -> None:
    settings = ServerSettings(**given)  # type: ignore[arg-type]  # names and numbers

    assert settings.resp == port
    assert settings.beside.get("resp") == port


def test_a_cluster_has_no_port_of_the_redis_protocol() -> None:
    with pytest.raises(ValueError, match="for one Redis"):
        ServerSettings(redis_url="redis+cluster://node:7000", resp_port=6380)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"port": 9210, "resp_port": 9211}, "grpc_port and resp_port are both 9211"),
        ({"port": 9210, "grpc_port": 9212}, "grpc_port and resp_port are both 9212"),
        ({"port": 9210, "resp_port": 9210}, "port and resp_port are both 9210"),
    ],
)
def test_two_doors_at_one_port_are_refused(said: dict[str, int], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        ServerSettings(**said)  # type: ignore[arg-type]  # names and numbers


def test_free_ports_and_closed_doors_are_no_two_at_one_port() -> None:
    assert ServerSettings(port=0, grpc_port=0, resp_port=0).beside == {"grpc": 0, "resp": 0}
    assert ServerSettings(port=9210, grpc_port=-1, resp_port=9211).beside == {"resp": 9211}
