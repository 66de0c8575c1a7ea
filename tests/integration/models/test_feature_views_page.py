"""docs/feature-views.md runs: its views are read, its commands sent, and its rows and errors are what comes out."""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from redis import Redis as Synchronous
from redis.asyncio import Redis

from models import decoding, documents, errors, feast_errors, features, sources, templates, tensors
from models.assembly import Assembled, Plan
from models.errors import BadFeatureView, FeatureError
from models.features import FeatureView
from tests.servers import RedisServer

Start = Callable[..., RedisServer]

PAGE = (Path(__file__).parents[3] / "docs" / "feature-views.md").read_text()
NOW = 1_795_350_600.0  # 2026-11-22T12:30:00Z, the clock of the page
SECTIONS = {part.split("\n", 1)[0]: part for part in PAGE.split("\n## ")[1:]}
RUNNING = [name for name, text in SECTIONS.items() if "```yaml\n" in text]
PIECE = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$|^(\|[^\n]*\|)$", re.MULTILINE | re.DOTALL)
HEADS = {("asked", "row"), ("asked", "answer"), ("written", "asked", "answer")}


@dataclass
class Step:
    """One thing that the page does or claims, in its order."""

    kind: str
    text: str = ""
    cells: dict[str, str] = field(default_factory=dict)


def steps(text: str) -> list[Step]:
    """Views, commands and rows of tables of one section."""
    found: list[Step] = []
    head: tuple[str, ...] = ()
    for language, note, block, row in PIECE.findall(text):
        if language:
            found.append(Step(f"{language} {note}".strip(), block))
            continue
        cells = tuple(cell.strip() for cell in row.strip("|").split("|"))
        if cells in HEADS:
            head = cells
        elif not set(row) <= {"|", "-"}:
            found.append(Step("row", cells=dict(zip(head, cells, strict=True))))
    return found


def arguments(line: str) -> list[bytes]:
    """A command as redis-cli splits it: double quotes know \\x00, single quotes nothing."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|(\S+)', line)
    return [
        double.encode().decode("unicode_escape").encode("latin-1") if double else (single or plain).encode()
        for double, single, plain in words
    ]


async def ask(redis: Any, plan: Plan, asked: str) -> Assembled:
    """Read one row by its key, or by its instance in JSON."""
    prepared = plan.prepare([json.loads(asked)]) if asked.startswith("{") else plan.prepare_keys([asked])
    pipeline = redis.pipeline(transaction=False)
    for command in prepared.commands:
        pipeline.execute_command(*command)
    replies = await pipeline.execute(raise_on_error=False) if prepared.commands else []
    return plan.assemble(prepared, replies, now=NOW)


def expected(cell: str) -> tuple[dict[str, Any], list[str]]:
    """The tensors of a row and the names that were filled in, as a cell of the page tells them."""
    tensors_of_row = {name: json.loads(value) for name, value in re.findall(r"(\w+) `([^`]*)`", cell)}
    _, _, filled = cell.partition("filled: ")
    return tensors_of_row, filled.split(", ") if filled else []


async def check(redis: Any, plan: Plan, cells: dict[str, str]) -> None:
    """Hold one row of a table to what really comes out."""
    if cells.get("written"):
        await redis.execute_command(*arguments(cells["written"].strip("`")))
    found = await ask(redis, plan, cells["asked"].strip("`"))
    if "row" in cells:
        wanted, filled = expected(cells["row"])
        assert found.errors == {}, cells
        assert {name: feed[0].tolist() for name, feed in found.groups[0].feeds.items()} == wanted, cells
        assert found.filled.get(0, []) == filled, cells
        return
    code, _, message = cells["answer"].partition(" ")
    assert found.errors, cells
    assert f"`{found.errors[0].code}`" == code, cells
    assert str(found.errors[0]) == message


@pytest.fixture
async def server(request: pytest.FixtureRequest, redis_server: Start) -> AsyncIterator[Redis]:
    """A Redis for one section, with the JSON module where the section is about it."""
    async with Redis.from_url(redis_server(json=request.param == "JSON").url) as client:
        yield client


@pytest.mark.parametrize(("name", "server"), [(name, name) for name in RUNNING], indirect=["server"])
async def test_a_section_does_what_it_shows(name: str, server: Any) -> None:
    plan: Plan | None = None
    rows = 0
    for step in steps(SECTIONS[name]):
        if step.kind == "yaml":
            plan = Plan(FeatureView.parse(step.text, "view.yaml"))
        elif step.kind == "redis":
            for line in step.text.splitlines():
                await server.execute_command(*arguments(line))
        elif step.kind == "row":
            assert plan is not None
            await check(server, plan, step.cells)
            rows += 1

    assert rows == len(re.findall(r"^\| (?!asked|written).*\|$", SECTIONS[name], re.MULTILINE))


def test_every_section_with_a_view_is_run() -> None:
    assert len(RUNNING) == 12


def test_the_view_that_is_wrong_is_told_as_the_page_says() -> None:
    (step,) = [step for step in steps(SECTIONS["Categories"]) if step.kind == "yaml error"]

    with pytest.raises(BadFeatureView) as caught:
        FeatureView.parse(step.text, "view.yaml")

    assert f"> {caught.value}\n" in SECTIONS["Categories"]


async def test_a_redis_without_json_is_told_as_the_page_says(redis: Redis) -> None:
    view = next(step.text for step in steps(SECTIONS["JSON"]) if step.kind == "yaml")

    found = await ask(redis, Plan(FeatureView.parse(view)), "profile:1")

    assert f"`{found.errors[0].code}`: {found.errors[0]}." in SECTIONS["JSON"]


def test_every_error_of_a_row_is_in_the_table() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", SECTIONS["Errors"], re.MULTILINE))
    known = {
        found
        for found in (*vars(errors).values(), *vars(decoding).values(), *vars(feast_errors).values())
        if isinstance(found, type) and issubclass(found, FeatureError)
    }

    assert listed == {error.code for error in known}


def test_the_bounds_are_those_of_the_code() -> None:
    numbers = [int(number) for number in re.findall(r"\d+", SECTIONS["Bounds"])]

    assert numbers == [
        features.VIEW_LIMIT_BYTES,
        documents.DEPTH_LIMIT,
        features.INPUTS_LIMIT,
        sources.FIELDS_LIMIT,
        sources.CATEGORIES_LIMIT,
        sources.JOIN_KEYS_LIMIT,
        sources.STEPS_LIMIT,
        tensors.ELEMENT_LIMIT,
        templates.KEY_LIMIT_BYTES,
    ]
    assert features.INPUTS_LIMIT == features.SOURCES_LIMIT


def test_every_link_on_the_page_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")
        for text in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings


async def test_rows_of_a_feast_source_become_the_hashes_that_a_view_reads(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [datetime(2026, 11, day, 9, tzinfo=UTC) for day in (22, 21, 22)]
    rows = {"driver_id": [1, 1, 2], "conv_rate": [0.25, 0.5, None], "event_timestamp": at}
    parquet.write_table(pa.table(rows), tmp_path / "driver_stats.parquet")
    monkeypatch.chdir(tmp_path)
    await redis.hset("driver_stats:2", "conv_rate", "0.75")
    (code,) = re.findall(r"^```python\n(.*?)^```$", SECTIONS["Features of Feast"], re.MULTILINE | re.DOTALL)

    with Synchronous.from_url(redis_url) as client:
        exec(code.replace("redis.Redis()", "client"), {"client": client})  # noqa: S102  # the page is ours

    assert await redis.hget("driver_stats:1", "conv_rate") == b"0.25"
    assert await redis.hgetall("driver_stats:2") == {
        b"driver_id": b"2",
        b"event_timestamp": b"2026-11-22 09:00:00+00:00",
    }
