"""docs/http-api.md and docs/open-inference.md: their commands answer what is printed, their tables are the code's."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import feast_errors
from models.errors import InsituError
from models.store import ModelStore
from server.inference import errors as core
from server.open_inference.datatypes import DTYPES
from server.rest import refusals
from server.rest.errors import STATUS, status_of
from server.rest.uploads import FIELDS
from server.settings import ServerSettings
from tests.conftest import missing
from tests.integration.rest.conftest import Client
from tests.integration.rest.graphs import CHURN_WEIGHTS, churn, linear
from tests.servers import RedisServer
from tests.serving import ServeCommand

DOCS = Path(__file__).parents[3] / "docs"
PAGE, PROTOCOL_PAGE = DOCS / "http-api.md", DOCS / "open-inference.md"
PRINTED = "http://127.0.0.1:8000"
# What differs from one run to the next: moments, how long a job took, digests of files, memory, program versions.
CHANGING = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00|date: [^\n]+|[0-9a-f]{64}"
    r"|(?<=\"rate\":)[\d.]+|(?<=\"seconds\":)[\d.]+"
    r"|(?<=\"memory_bytes\": )\d+|(?<=\"version\":\")[^\"]+|(?<=\"pid\":)\d+"
)
SHELL = shutil.which("bash") or "/bin/sh"
NUMBER = re.compile(r"\d+\.\d{4,}")


def blocks(language: str, page: Path = PAGE) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def told(text: str) -> str:
    """What must agree of an output: numbers to four digits, changing things as dots."""
    return NUMBER.sub(
        lambda found: f"{float(found[0]):.4f}", CHANGING.sub("...", text.replace("\r", ""))
    ).strip()


def rows(heading: str, page: Path = PAGE) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = page.read_text().partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


@pytest.fixture
async def served(redis_url: str, store: ModelStore, shared_server: RedisServer) -> ServeCommand:
    await store.publish(churn(card={"verdict": "good", "rows": {"train": 890, "held_out": 178}}))
    with shared_server.connect() as client:
        for line in "".join(blocks("redis")).splitlines():
            client.execute_command(*shlex.split(line))
    return ServeCommand(redis_url)


@pytest.fixture
def shell(served: ServeCommand, tmp_path: Path) -> Iterator[tuple[ServeCommand, Path]]:
    if shutil.which("curl") is None:
        missing("no curl")
    (tmp_path / "model.onnx").write_bytes(linear(CHURN_WEIGHTS, softmax=True))
    (tmp_path / "view.yaml").write_text(blocks("yaml")[0])
    try:
        yield served.start(), tmp_path
    finally:
        served.stop()


def run(command: str, url: str, folder: Path) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        [SHELL, "-c", command.replace(PRINTED, url)],
        cwd=folder,
        env={**os.environ, "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.replace(url, PRINTED)


@pytest.mark.parametrize("page", [PAGE, PROTOCOL_PAGE], ids=lambda page: page.stem)
def test_every_command_of_the_page_prints_what_the_page_says(
    shell: tuple[ServeCommand, Path], page: Path
) -> None:
    server, folder = shell
    differing = []

    for block in blocks("console", page):
        command, _, printed = block.removeprefix("$ ").partition("\n")
        output = run(command, server.url, folder)
        if told(output) != told(printed):
            differing.append((command, printed, output))

    assert differing == []


def test_the_table_of_errors_is_the_table_of_the_code() -> None:
    every = [*STATUS, *every_row_error()]

    assert sorted((int(status), code) for status, code, _ in rows("## Errors")) == sorted(
        {(status_of_class(one), one.code) for one in every}
    )


def every_row_error() -> list[type[InsituError]]:
    return [one for family in STATUS for one in family.__subclasses__() if one.__module__ in OURS]


OURS = {InsituError.__module__, feast_errors.__name__, core.__name__, refusals.__name__}


def status_of_class(error: type[InsituError]) -> int:
    return status_of(error.__new__(error))


async def test_the_table_of_the_protocol_is_what_is_served(client: Client) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    plain = {
        (method, path)
        for method, path in served
        if path.startswith("/v2") and "{version}" not in path and "cuda" not in path
    }

    printed = {
        (method.strip(), path)
        for methods, path, _ in rows("## What is served", PROTOCOL_PAGE)
        for method in methods.split(",")
    }

    assert printed == plain


def test_both_pages_speak_of_the_same_keys() -> None:
    assert blocks("redis", PROTOCOL_PAGE) == blocks("redis")


def test_the_table_of_datatypes_is_the_table_of_the_code() -> None:
    printed = [name.strip(" `") for row in rows("## Datatypes", PROTOCOL_PAGE) for name in row[0].split(",")]

    assert sorted(printed) == sorted(DTYPES)


def test_the_table_of_an_upload_names_every_field() -> None:
    assert [name for name, _ in rows("### Publish")] == list(FIELDS)


def test_the_table_of_bounds_names_settings_that_there_are() -> None:
    settings = {f"INSITU_{name.upper()}" for name in ServerSettings.model_fields}

    assert {name for _, name, _ in rows("## Bounds") if name} <= settings
