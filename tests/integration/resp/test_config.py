"""AI.CONFIG sets and returns what means something here, and refuses the rest in RedisAI's words."""

from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from server.resp.caller import Caller
from server.resp.commands.config import COMMANDS
from server.resp.commands.module_info import info_sections
from server.resp.configuration import Configuration
from server.resp.wire.replies import RESP3
from tests.integration.resp.callers import Asker

ARITY = "wrong number of arguments for 'ai.config' command"


@pytest.fixture
def asked(caller: Caller) -> Asker:
    return Asker(caller, COMMANDS)


async def test_what_is_set_is_returned(asked: Asker) -> None:
    assert await asked("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == 535822336
    assert await asked("AI.CONFIG", "GET", "BACKENDSPATH") is None

    assert await asked("AI.CONFIG", "model_chunk_size", "1000") == b"OK"
    assert await asked("AI.CONFIG", "BACKENDSPATH", "/backends") == b"OK"

    assert asked.caller.configuration.model_chunk_bytes == 1000
    assert await asked("AI.CONFIG", "get", "model_chunk_size") == 1000
    assert await asked("AI.CONFIG", "GET", "BACKENDSPATH") == b"/backends"


async def test_what_is_set_holds_for_all_who_share_a_directory(asked: Asker, tmp_path: Path) -> None:
    asked.caller.configuration = Configuration(tmp_path)
    one, other = Configuration(tmp_path), Configuration()

    assert await asked("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == 535822336
    assert await asked("AI.CONFIG", "GET", "BACKENDSPATH") is None
    assert await asked("AI.CONFIG", "MODEL_CHUNK_SIZE", "1000") == b"OK"
    assert await asked("AI.CONFIG", "BACKENDSPATH", b"/back\xff\n") == b"OK"

    assert (one.model_chunk_bytes, one.backends_path) == (1000, b"/back\xff\n")
    assert (other.model_chunk_bytes, other.backends_path) == (535822336, None)
    one.model_chunk_bytes = 7
    assert await asked("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == 7


async def test_what_cannot_be_shared_is_not_said_to_be_set(asked: Asker, tmp_path: Path) -> None:
    asked.caller.configuration = Configuration(tmp_path / "nowhere")

    with pytest.raises(OSError, match="nowhere"):
        await asked("AI.CONFIG", "MODEL_CHUNK_SIZE", "1000")


async def test_a_name_that_nothing_has_is_nothing(asked: Asker) -> None:
    assert await asked.raw("AI.CONFIG", "GET", "NONSENSE") == b"$-1\r\n"
    asked.caller.wire = RESP3
    assert await asked.raw("AI.CONFIG", "GET", "NONSENSE") == b"_\r\n"


async def test_the_backend_that_is_there_is_loaded(asked: Asker) -> None:
    assert await asked("AI.CONFIG", "LOADBACKEND", "onnx", "/any/path.so") == b"OK"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["LOADBACKEND", "TORCH", "path"], "error loading backend"),
        (["LOADBACKEND", "CAFFE", "path"], "unsupported backend"),
        (["LOADBACKEND", "ONNX"], ARITY),
        (["BACKENDSPATH"], "BACKENDSPATH: missing path argument"),
        (["MODEL_CHUNK_SIZE"], "MODEL_CHUNK_SIZE: missing chunk size"),
        (["MODEL_CHUNK_SIZE", "0"], "MODEL_CHUNK_SIZE: invalid chunk size"),
        (["MODEL_CHUNK_SIZE", "-1"], "MODEL_CHUNK_SIZE: invalid chunk size"),
        (["MODEL_CHUNK_SIZE", "many"], "MODEL_CHUNK_SIZE: invalid chunk size"),
        (["GET"], ARITY),
        (["SET", "x"], "unsupported subcommand"),
        ([], ARITY),
    ],
)
async def test_what_cannot_be_set_is_refused(asked: Asker, words: list[Any], told: str) -> None:
    found = await asked("AI.CONFIG", *words)

    assert isinstance(found, ResponseError)
    assert str(found) == f"ERR {told}"


async def test_info_has_the_sections_of_the_module(caller: Caller) -> None:
    sections = info_sections(caller.engine)

    assert list(sections) == ["ai_versions", "ai_load_time_configs", "ai_backends_info", "ai_cpu"]
    assert sections["ai_load_time_configs"]["model_execution_timeout"] == 30_000
    assert str(sections["ai_backends_info"]["onnxruntime_version"])[0].isdigit()
    assert float(str(sections["ai_cpu"]["self_used_cpu_user"])) > 0
