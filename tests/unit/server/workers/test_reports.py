"""What goes over a worker's channel comes out as it went in."""

import json
from pathlib import Path

import pytest

from models.errors import BadName, InsituError, RedisRefused, RedisUnavailable
from server.inference.errors import ProviderUnavailable
from server.settings import ServerSettings
from server.workers.reports import Task, WorkerFailed, answers, cannot, refusal
from server.workers.supervisor import backoff_seconds, share_of


class OnlyThere(InsituError):
    """An error of another process."""

    code = "only_there"


def test_a_task_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_PORT", "1")
    settings = ServerSettings(port=8001, tokens=(f"admin:{'a' * 64}",), tls_cert=Path("c"), tls_key=Path("k"))
    task = Task(settings, Path("/metrics"), 30.0, follows=True)

    assert Task.parse(task.line()) == task
    assert task.line().count(b"\n") == 1


def test_an_answer_tells_the_address() -> None:
    assert json.loads(answers("http://127.0.0.1:1")) == {"answers": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "error",
    [
        RedisUnavailable("away"),
        RedisRefused("WRONGPASS"),
        BadName("prefix", "a b", "no spaces"),
        ProviderUnavailable("cuda", ["CPUExecutionProvider"]),
    ],
)
def test_an_error_is_the_same_error_on_the_other_side(error: InsituError) -> None:
    told = refusal(json.loads(cannot(error)))

    assert type(told) is type(error)
    assert (str(told), told.code, told.details) == (str(error), error.code, error.details)


def test_an_error_that_is_not_known_here_keeps_its_code() -> None:
    told = json.loads(cannot(OnlyThere("no", reason="why")))

    error = refusal({**told, "kind": "NeverImported"})

    assert (str(error), error.code, error.details) == ("no", "only_there", {"reason": "why"})


def test_any_other_fault_is_named() -> None:
    error = refusal(json.loads(cannot(FileNotFoundError(2, "No such file", "cert.pem"))))

    assert isinstance(error, WorkerFailed)
    assert "FileNotFoundError" in str(error)
    assert "cert.pem" in str(error)


def test_a_worker_has_its_share_of_the_memory_for_models() -> None:
    settings = ServerSettings(model_memory_bytes=6 << 20)

    assert share_of(settings, 3, {}).model_memory_bytes == 2 << 20
    assert share_of(settings, 100, {}).model_memory_bytes == 1 << 20


def test_a_worker_that_dies_again_and_again_comes_back_later_and_later() -> None:
    assert [backoff_seconds(failures) for failures in range(6)] == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0]
    assert backoff_seconds(100) == 30.0
